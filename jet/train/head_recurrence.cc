// recurrence.cc's equations, a chunk at a time; the same symbols, those of docs/design.md. Chunk has what follows from
// the inputs without the state, head_forward what the state adds, ChunkGradients the way back.
#include "jet/train/head_recurrence.h"

#include <algorithm>
#include <vector>

#include "jet/train/small_matrix.h"

namespace jet {
namespace {

using namespace small;

/// Memory of one call, given out in pieces; kept by its thread.
class Pieces {
 public:
  explicit Pieces(int64_t floats) {
    static thread_local std::vector<float> memory;
    if (static_cast<int64_t>(memory.size()) < floats) memory.resize(floats);
    next_ = memory.data();
  }
  float* take(int64_t floats) {
    float* p = next_;
    next_ += floats;
    return p;
  }
  Out matrix(int64_t rows, int64_t columns) { return {take(rows * columns), rows, columns, columns}; }

 private:
  float* next_;
};

/// Asks for rows [begin, end): a head's lie too far apart for the hardware to see what comes next.
void ask(const HeadRows& x, int64_t begin, int64_t end, int64_t width) {
  if (!x.data) return;
  for (int64_t t = begin; t < end; ++t)
    for (int64_t c = 0; c < width; c += 16) __builtin_prefetch(x.data + t * x.stride + c);
}
/// What a chunk reads of the inputs.
void ask_chunk(const HeadRecurrence& r, int64_t index) {
  const int64_t begin = index * r.chunk, end = std::min(begin + r.chunk, r.tokens);
  for (const auto* x : {&r.q, &r.k, &r.a, &r.b}) ask(*x, begin, end, r.K);
  ask(r.v, begin, end, r.V), ask(r.g, begin, end, r.g_vector ? r.K : 1), ask(r.beta, begin, end, 1);
}

void copy_or_zeros(const float* x, int64_t n, float* out) {
  if (x) {
    std::copy_n(x, n, out);
  } else {
    std::fill_n(out, n, 0.0f);
  }
}

float dot(const float* x, const float* y, int64_t n) {
  constexpr int lanes = 8;  // side by side, as the compiler may not reorder a sum
  float part[lanes] = {}, sum = 0;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int l = 0; l < lanes; ++l) part[l] += x[i + l] * y[i + l];
  for (; i < n; ++i) sum += x[i] * y[i];
  for (const float p : part) sum += p;
  return sum;
}

/// A[t, s] = x_t . y_s e^(Gx_t - G_s) for s <= t (diagonal 0) or s < t (diagonal -1), zero elsewhere.
struct Scores {
  Out A;                          // [n, n]
  Out x, y;                       // [n, K]; with a decay per channel, times what follows
  const float* ex = nullptr;      // [n, K] or null: what x carries; y carries the chunk's `ey`
  const float* factor = nullptr;  // decay per head: [n, n]
  int64_t diagonal = 0;
};

/// One chunk's inputs, and what follows from them without the state. What a block does not have is empty; where nothing
/// scales a row, the scaled rows are the rows themselves.
struct Chunk {
  const HeadRecurrence& r;
  const int64_t t0, n, K, V;                   // its first token, and how many
  const bool delta, erases, writes, channels;  // writes: v has a term of its own (all but the delta rule)
  In raw_k, v;
  const float* beta = nullptr;
  Out q, a, b, k;                                               // [n, K]
  const float *start_q = nullptr, *start_a = nullptr;           // e^G, e^Ga: a number a row, or K
  const float* end = nullptr;                                   // e^(last - G)
  Out q_start, a_start, b_end, k_end;                           // those times q, a, b, k
  const float *ex_q = nullptr, *ex_a = nullptr, *ey = nullptr;  // decay per channel: what a score's rows carry
  const float *factor_q = nullptr, *factor_a = nullptr;         // decay per head: [n, n]
  Scores ab, qb, ak, qk;

  static int64_t floats(const HeadRecurrence& r) { return r.chunk * (21 * r.K + 6 * r.chunk); }

  Chunk(const HeadRecurrence& whole, int64_t index, Pieces& memory)
      : r(whole), t0(index * r.chunk), n(std::min(r.chunk, r.tokens - t0)), K(r.K), V(r.V),
        delta(r.beta.data != nullptr), erases(delta || r.a.data), writes(!delta), channels(r.g_vector),
        raw_k(rows(r.k, K)), v(rows(r.v, V)) {
    q = copy(rows(r.q, K), r.scale, memory);
    if (delta) {
      beta = rows(r.beta, 1).data;
      a = copy(raw_k, -1, memory), b = copy(raw_k, 1, memory);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t c = 0; c < K; ++c) b.row(i)[c] *= beta[i * r.beta.stride];
    } else {
      k = copy(raw_k, 1, memory);
      if (erases) a = copy(rows(r.a, K), 1, memory), b = copy(rows(r.b, K), 1, memory);
    }
    if (r.g.data) set_decay(rows(r.g, 1).data, memory);
    q_start = scaled(q, start_q, memory), a_start = scaled(a, start_a, memory);
    b_end = scaled(b, end, memory), k_end = scaled(k, end, memory);
    set_scores(memory);
  }

  /// to [K, V] = e^last from; `to` can be `from`.
  void decay_state(In from, Out to) const {
    const float* last = start_q ? start_q + (n - 1) * (channels ? K : 1) : nullptr;
    for (int64_t i = 0; i < K; ++i) {
      const float factor = last ? last[channels ? i : 0] : 1.0f;
      for (int64_t c = 0; c < V; ++c) to.data[i * V + c] = factor * from.data[i * V + c];
    }
  }
  /// out [n, K] = x's rows times e; `out` can be x.
  void scale_rows(const float* x, const float* e, float* out) const {
    if (channels) {
      for (int64_t i = 0; i < n * K; ++i) out[i] = x[i] * e[i];
    } else {
      for (int64_t i = 0; i < n; ++i)
        for (int64_t c = 0; c < K; ++c) out[i * K + c] = x[i * K + c] * e[i];
    }
  }
  /// A [n, n] = x y times its factor where it is seen, else 0: scores, and their gradients on the way back. y: [.., n].
  void masked_product(Out A, In x, In y, const float* factor, int64_t diagonal) const {
    constexpr int64_t kColumns = 16;  // a tile's
    for (int64_t i = 0; i < n; i += kTile) {
      const int64_t rows = std::min(kTile, n - i), columns = (i + rows + kColumns - 1) / kColumns * kColumns;
      product(A.part(i, rows, 0, std::min(n, columns)), 0, x.part(i, rows), y);
    }
    for (int64_t i = 0; i < n; ++i) {
      const int64_t seen = i + 1 + diagonal;
      if (factor)
        for (int64_t j = 0; j < seen; ++j) A.data[i * n + j] *= factor[i * n + j];
      std::fill(A.row(i) + seen, A.row(i + 1), 0.0f);
    }
  }

 private:
  In rows(const HeadRows& x, int64_t width) const { return {x.data + t0 * x.stride, n, width, x.stride}; }

  Out copy(In x, float factor, Pieces& memory) const {
    const Out out = memory.matrix(n, K);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < K; ++c) out.data[i * K + c] = factor * x.data[i * x.stride + c];
    return out;
  }
  Out scaled(Out x, const float* e, Pieces& memory) const {
    if (!x || !e) return x;
    const Out out = memory.matrix(n, K);
    scale_rows(x.data, e, out.data);
    return out;
  }

  void set_scores(Pieces& memory) {
    const Out xq = scaled(q, ex_q, memory), xa = scaled(a, ex_a, memory);
    const Out yb = scaled(b, ey, memory), yk = scaled(k, ey, memory);
    const Out turned = memory.matrix(K, n);
    const auto scores = [&](Scores& s, Out x, Out y, bool of_q) {
      s = {memory.matrix(n, n), x, y, of_q ? ex_q : ex_a, of_q ? factor_q : factor_a, of_q ? 0 : -1};
      masked_product(s.A, x, turned, s.factor, s.diagonal);
    };
    if (erases) {
      transpose(yb, turned);
      scores(ab, xa, yb, false), scores(qb, xq, yb, true);
    }
    if (writes) {
      transpose(yk, turned);
      scores(qk, xq, yk, true);
      if (erases) scores(ak, xa, yk, false);
    }
  }

  /// e^f(row, number) for a number a row, or K.
  template <class F>
  float* exponentials(Pieces& memory, F&& f) const {
    const int64_t width = channels ? K : 1;
    float* out = memory.take(n * width);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < width; ++c) out[i * width + c] = f(i * width + c, c);
    kernels().exponentials(out, n * width);
    return out;
  }
  float* factor_of(const float* Gx, const float* G, int64_t diagonal, Pieces& memory) const {
    float* out = memory.take(n * n);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t seen = i + 1 + diagonal, columns = std::min(n, (seen + 7) / 8 * 8);  // whole vectors
      for (int64_t j = 0; j < columns; ++j) out[i * n + j] = j < seen ? Gx[i] - G[j] : 0.0f;
      kernels().exponentials(out + i * n, columns);
    }
    return out;
  }
  void set_decay(const float* g, Pieces& memory) {
    const int64_t width = channels ? K : 1;
    float *G = memory.take(n * width), *Ga = memory.take(n * width);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < width; ++c) {
        const float before = i > 0 ? G[(i - 1) * width + c] : 0.0f;
        G[i * width + c] = before + g[i * r.g.stride + c];
        Ga[i * width + c] = delta ? G[i * width + c] : before;
      }
    }
    const float *last = G + (n - 1) * width, *mid = G + (n - 1) / 2 * width;
    start_q = exponentials(memory, [&](int64_t i, int64_t) { return G[i]; });
    start_a = delta ? start_q : exponentials(memory, [&](int64_t i, int64_t) { return Ga[i]; });
    end = exponentials(memory, [&](int64_t i, int64_t c) { return last[c] - G[i]; });
    if (channels) {
      ex_q = exponentials(memory, [&](int64_t i, int64_t c) { return G[i] - mid[c]; });
      ex_a = delta ? ex_q : exponentials(memory, [&](int64_t i, int64_t c) { return Ga[i] - mid[c]; });
      ey = exponentials(memory, [&](int64_t i, int64_t c) { return mid[c] - G[i]; });
    } else {
      factor_q = factor_of(G, G, 0, memory);
      if (erases) factor_a = delta ? factor_q : factor_of(Ga, G, -1, memory);
    }
  }
};

}  // namespace

void head_forward(const HeadRecurrence& r, HeadOut o, float* states, float* U) {
  const int64_t K = r.K, V = r.V;
  copy_or_zeros(r.s0, K * V, states);
  for (int64_t i = 0; i < r.chunks(); ++i) {
    Pieces memory(Chunk::floats(r));
    const Chunk c(r, i, memory);
    if (i + 1 < r.chunks()) ask_chunk(r, i + 1);
    const In S{states + i * K * V, K, V, V};
    const Out S_next{states + (i + 1) * K * V, K, V, V}, out{o.data + c.t0 * o.stride, c.n, V, o.stride};
    c.decay_state(S, S_next);
    product(out, 0, c.q_start, S);
    if (c.erases) {
      const Out u{U + c.t0 * V, c.n, V, V};
      if (c.delta) {
        for (int64_t t = 0; t < c.n; ++t) std::copy_n(c.v.row(t), V, u.row(t));
      } else {
        lower_product(u, 0, c.ak.A, c.v);
      }
      product(u, 1, c.a_start, S);
      solve(u, c.ab.A);
      lower_product(out, 1, c.qb.A, u);
      product(S_next, 1, transposed(c.b_end), u);
    }
    if (c.writes) {
      lower_product(out, 1, c.qk.A, c.v);
      product(S_next, 1, transposed(c.k_end), c.v);
    }
  }
}

namespace {

/// What a chunk's gradients come from.
struct ChunkEnds {
  In S, S_next;  // [K, V]: the states before and after it
  In U, dO;      // [n, V]
  Out dS;        // [K, V]: of S_next
};

/// One chunk on the way back.
class ChunkGradients {
 public:
  static int64_t floats(const HeadRecurrence& r) {
    return 2 * r.K * r.V + r.chunk * (6 * r.K + 4 * r.V + r.chunk) + r.K;
  }

  ChunkGradients(const Chunk& chunk, const ChunkEnds& ends, Pieces& memory)
      : c(chunk), n(chunk.n), K(chunk.K), V(chunk.V), S(ends.S), S_next(ends.S_next), U(ends.U), dO(ends.dO),
        dS(ends.dS), S_t(memory.matrix(V, K)), dS_t(memory.matrix(V, K)), dq(memory.matrix(n, K)),
        da(memory.matrix(n, K)), db(memory.matrix(n, K)), dk(memory.matrix(n, K)), part(memory.matrix(n, K)),
        dG(memory.matrix(n, K)), dR(memory.matrix(n, V)), dv(memory.matrix(n, V)), U_t(memory.matrix(V, n)),
        v_t(memory.matrix(V, n)), dA(memory.matrix(n, n)), last(memory.take(K)) {}

  /// Overwrites the chunk's rows of `d`; dS becomes the gradient of the state before the chunk.
  void run(const HeadGradients& d) {
    through_state();
    if (c.erases) {
      through_scores(c.ab, dR, U_t, da, db);
      through_scores(c.qb, dO, U_t, dq, db);
    }
    if (c.writes) {
      through_scores(c.qk, dO, v_t, dq, dk);
      if (c.erases) through_scores(c.ak, dR, v_t, da, dk);
    }
    if (d.g.data) c.channels ? of_channel_decays(d.g) : of_head_decays(d.g);
    put_rows(d);
    c.decay_state(dS, dS);
    product(dS, 1, transposed(c.q_start), dO);
    if (c.erases) product(dS, 1, transposed(c.a_start), dR);
  }

 private:
  void through_state() {
    transpose(S, S_t), transpose(dS, dS_t);
    const auto through = [&](Out dx, In rows, In state_t, const float* e) {
      product(dx, 0, rows, state_t);
      if (e) c.scale_rows(dx.data, e, dx.data);
    };
    through(dq, dO, S_t, c.start_q);
    if (c.erases) {
      product(dR, 0, c.b_end, dS);
      lower_transposed_product(dR, 1, c.qb.A, dO);
      solve_transposed(dR, c.ab.A);
      through(da, dR, S_t, c.start_a), through(db, U, dS_t, c.end);
      transpose(U, U_t);
    }
    if (c.writes) {
      through(dk, c.v, dS_t, c.end);
      product(dv, 0, c.k_end, dS);
      lower_transposed_product(dv, 1, c.qk.A, dO);
      if (c.erases) lower_transposed_product(dv, 1, c.ak.A, dR);
      transpose(c.v, v_t);
    }
  }

  /// Adds x's and y's shares of dA = left right^T.
  void through_scores(const Scores& s, In left, In right_t, Out dx, Out dy) const {
    const auto add = [&](auto multiply, Out to, const float* e, In rows) {
      if (!e) return multiply(to, 1, dA, rows);
      multiply(part, 0, dA, rows);
      for (int64_t j = 0; j < n * K; ++j) to.data[j] += part.data[j] * e[j];
    };
    c.masked_product(dA, left, right_t, s.factor, s.diagonal);
    add(lower_product, dx, s.ex, s.y), add(lower_transposed_product, dy, c.ey, s.x);
  }

  /// A row's own decay does not reach its a, except of the delta rule.
  bool without_own() const { return c.erases && !c.delta; }

  void of_channel_decays(const HeadOut& dg) const {
    for (int64_t j = 0; j < n * K; ++j) {
      dG.data[j] = c.q.data[j] * dq.data[j];
      if (c.erases) dG.data[j] += c.a.data[j] * da.data[j] - c.b.data[j] * db.data[j];
      if (c.writes) dG.data[j] -= c.k.data[j] * dk.data[j];
    }
    for (int64_t j = 0; j < K; ++j) last[j] = dot(S_next.row(j), dS.row(j), V);
    for (int64_t t = n - 1; t >= 0; --t) {
      float* out = dg.data + (c.t0 + t) * dg.stride;
      for (int64_t j = 0; j < K; ++j) {
        last[j] += dG.row(t)[j];
        out[j] = last[j] - (without_own() ? c.a.row(t)[j] * da.row(t)[j] : 0.0f);
      }
    }
  }
  /// The sums of the same over the channels.
  void of_head_decays(const HeadOut& dg) const {
    float sum = dot(S_next.data, dS.data, K * V);
    for (int64_t t = n - 1; t >= 0; --t) {
      const auto of_row = [&](In x, In dx) { return dot(x.row(t), dx.row(t), K); };
      const float of_a = c.erases ? of_row(c.a, da) : 0.0f;
      sum += of_row(c.q, dq) + of_a;
      if (c.erases) sum -= of_row(c.b, db);
      if (c.writes) sum -= of_row(c.k, dk);
      dg.data[(c.t0 + t) * dg.stride] = sum - (without_own() ? of_a : 0.0f);
    }
  }

  void put(const HeadOut& to, In x, float factor) const {
    for (int64_t t = 0; to.data && t < n; ++t)
      for (int64_t j = 0; j < x.columns; ++j) to.data[(c.t0 + t) * to.stride + j] = factor * x.row(t)[j];
  }
  void put_rows(const HeadGradients& d) const {
    put(d.q, dq, c.r.scale);
    if (!c.delta) return put(d.k, dk, 1), put(d.v, dv, 1), put(d.a, da, 1), put(d.b, db, 1);
    for (int64_t t = 0; t < n; ++t) {  // b = beta k, a = -k
      const float beta = c.beta[t * c.r.beta.stride];
      if (d.beta.data) d.beta.data[(c.t0 + t) * d.beta.stride] = dot(db.row(t), c.raw_k.row(t), K);
      for (int64_t j = 0; j < K; ++j) db.row(t)[j] = beta * db.row(t)[j] - da.row(t)[j];
    }
    put(d.k, db, 1), put(d.v, dR, 1);
  }

  const Chunk& c;
  const int64_t n, K, V;
  const In S, S_next, U, dO;
  const Out dS, S_t, dS_t, dq, da, db, dk, part, dG, dR, dv, U_t, v_t, dA;
  float* const last;  // [K]
};

}  // namespace

void head_backward(const HeadRecurrence& r, const float* states, const float* U, HeadRows d_o, const float* d_last,
                   const HeadGradients& d) {
  const int64_t K = r.K, V = r.V;
  Pieces memory(Chunk::floats(r) + ChunkGradients::floats(r) + K * V);
  const Out dS = memory.matrix(K, V);
  copy_or_zeros(d_last, K * V, dS.data);
  for (int64_t i = r.chunks() - 1; i >= 0; --i) {
    Pieces rest = memory;
    const Chunk c(r, i, rest);
    if (i > 0) {
      const int64_t begin = (i - 1) * r.chunk, end = i * r.chunk;
      ask_chunk(r, i - 1), ask(d_o, begin, end, V);
      if (c.erases) ask({U, V}, begin, end, V);
    }
    const float* S = states + i * K * V;
    ChunkGradients(c,
                   {.S = {S, K, V, V},
                    .S_next = {S + K * V, K, V, V},
                    .U = {U ? U + c.t0 * V : nullptr, c.n, V, V},
                    .dO = {d_o.data + c.t0 * d_o.stride, c.n, V, d_o.stride},
                    .dS = dS},
                   rest)
        .run(d);
  }
  if (d.s0) std::copy_n(dS.data, K * V, d.s0);
}

}  // namespace jet
