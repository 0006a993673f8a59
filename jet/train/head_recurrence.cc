#include "jet/train/head_recurrence.h"

#include <algorithm>
#include <vector>

#include "jet/kernels/kernels.h"

namespace jet {
namespace {

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

 private:
  float* next_;
};

/// c [m, n] = start c + a b.
void product(float* c, int64_t c_stride, int64_t m, int64_t n, float start, const float* a, int64_t row, int64_t step,
             int64_t k, const float* b, int64_t b_stride) {
  kernels().multiply({a, row, step, b, b_stride, c, c_stride, k, n, start}, 0, m);
}

constexpr int64_t kTile = 6;  // rows of c that a product makes at once

/// c [n, V] = start c + A b for A [n, n] without numbers above its diagonal, a tile of rows at a time: what is zero is
/// not multiplied.
void lower_product(float* c, int64_t c_stride, int64_t n, int64_t V, float start, const float* A, const float* b,
                   int64_t b_stride) {
  for (int64_t i = 0; i < n; i += kTile) {
    const int64_t rows = std::min(kTile, n - i);
    product(c + i * c_stride, c_stride, rows, V, start, A + i * n, n, 1, i + rows, b, b_stride);
  }
}
/// c [n, V] = start c + A^T b, likewise.
void lower_transposed_product(float* c, int64_t c_stride, int64_t n, int64_t V, float start, const float* A,
                              const float* b, int64_t b_stride) {
  for (int64_t i = 0; i < n; i += kTile) {
    product(c + i * c_stride, c_stride, std::min(kTile, n - i), V, start, A + i * n + i, 1, n, n - i, b + i * b_stride,
            b_stride);
  }
}
/// w = (1 - A)^-1 w for A without numbers on its diagonal and above, w [n, V].
void solve(float* w, int64_t n, int64_t V, const float* A) {
  for (int64_t i = 0; i < n; i += kTile) {
    const int64_t rows = std::min(kTile, n - i);
    if (i > 0) product(w + i * V, V, rows, V, 1, A + i * n, n, 1, i, w, V);
    for (int64_t t = i + 1; t < i + rows; ++t) product(w + t * V, V, 1, V, 1, A + t * n + i, n, 1, t - i, w + i * V, V);
  }
}
/// w = (1 - A^T)^-1 w.
void solve_transposed(float* w, int64_t n, int64_t V, const float* A) {
  for (int64_t end = n; end > 0; end -= std::min(kTile, end)) {
    const int64_t rows = std::min(kTile, end), i = end - rows;
    if (end < n) product(w + i * V, V, rows, V, 1, A + end * n + i, 1, n, n - end, w + end * V, V);
    for (int64_t t = end - 2; t >= i; --t) {
      product(w + t * V, V, 1, V, 1, A + (t + 1) * n + t, 1, n, end - 1 - t, w + (t + 1) * V, V);
    }
  }
}

void transpose(const float* x, int64_t stride, int64_t rows, int64_t columns, float* out) {
  kernels().transpose(x, stride, rows, columns, out);
}

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

/// One chunk's inputs as rows of [n, K], and what follows from them without the state. What a block does not have is
/// null; where nothing scales a row, the scaled rows are the rows themselves.
struct Chunk {
  const HeadRecurrence& r;
  const int64_t n, K, V;
  const bool delta, erases, writes, channels;  // writes: V has terms of its own (all but the delta rule)
  const float* raw_k = nullptr;
  const float* beta = nullptr;
  const float* v = nullptr;
  float *q, *a = nullptr, *b = nullptr, *k = nullptr;
  float *start_q = nullptr, *start_a = nullptr, *end = nullptr;      // e^G, e^Ga, e^(last - G): a number a row, or K
  float *q_start, *a_start, *b_end, *k_end;                          // those times q, a, b, k
  float *ex_q = nullptr, *ex_a = nullptr, *ey = nullptr;             // decay per channel: what a score's rows carry
  float *xq, *xa, *yb, *yk;                                          // rows as the scores take them
  float *factor_q = nullptr, *factor_a = nullptr;                    // decay per head: [n, n]
  float *ab = nullptr, *qb = nullptr, *ak = nullptr, *qk = nullptr;  // A_ab and so on, [n, n]

  static int64_t floats(const HeadRecurrence& r) { return r.chunk * (21 * r.K + 6 * r.chunk); }

  Chunk(const HeadRecurrence& whole, int64_t index, Pieces& memory)
      : r(whole), n(std::min(r.chunk, r.tokens - index * r.chunk)), K(r.K), V(r.V), delta(r.beta.data != nullptr),
        erases(delta || r.a.data), writes(!delta), channels(r.g_vector) {
    const int64_t t0 = index * r.chunk;
    const auto at = [&](const HeadRows& x) { return x.data + t0 * x.stride; };
    v = at(r.v), raw_k = at(r.k);
    q = copy(at(r.q), r.q.stride, r.scale, memory);
    if (delta) {
      beta = at(r.beta);
      a = copy(raw_k, r.k.stride, -1, memory), b = copy(raw_k, r.k.stride, 1, memory);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t c = 0; c < K; ++c) b[i * K + c] *= beta[i * r.beta.stride];
    } else {
      k = copy(raw_k, r.k.stride, 1, memory);
      if (erases) a = copy(at(r.a), r.a.stride, 1, memory), b = copy(at(r.b), r.b.stride, 1, memory);
    }
    if (r.g.data) set_decay(at(r.g), memory);
    q_start = scaled(q, start_q, memory), a_start = scaled(a, start_a, memory);
    b_end = scaled(b, end, memory), k_end = scaled(k, end, memory);
    xq = scaled(q, ex_q, memory), xa = scaled(a, ex_a, memory);
    yb = scaled(b, ey, memory), yk = scaled(k, ey, memory);
    float* turned = memory.take(K * n);
    if (erases) {
      transpose(yb, K, n, K, turned);
      ab = scores(xa, turned, factor_a, -1, memory), qb = scores(xq, turned, factor_q, 0, memory);
    }
    if (writes) {
      transpose(yk, K, n, K, turned);
      qk = scores(xq, turned, factor_q, 0, memory);
      if (erases) ak = scores(xa, turned, factor_a, -1, memory);
    }
  }

  /// to [K, V] = e^last from; `to` can be `from`.
  void decay_state(const float* from, float* to) const {
    const float* last = start_q ? start_q + (n - 1) * (channels ? K : 1) : nullptr;
    for (int64_t i = 0; i < K; ++i) {
      const float factor = last ? last[channels ? i : 0] : 1.0f;
      for (int64_t c = 0; c < V; ++c) to[i * V + c] = factor * from[i * V + c];
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
  /// A [n, n] = x y times its factor where it is seen, else 0: scores, and their gradients on the way back. y: [D, n].
  void masked_product(float* A, const float* x, int64_t x_stride, int64_t D, const float* y, const float* factor,
                      int64_t diagonal) const {
    constexpr int64_t kColumns = 16;  // a tile's
    for (int64_t i = 0; i < n; i += kTile) {
      const int64_t rows = std::min(kTile, n - i), columns = (i + rows + kColumns - 1) / kColumns * kColumns;
      product(A + i * n, n, rows, std::min(n, columns), 0, x + i * x_stride, x_stride, 1, D, y, n);
    }
    for (int64_t i = 0; i < n; ++i) {
      const int64_t seen = i + 1 + diagonal;
      if (factor)
        for (int64_t j = 0; j < seen; ++j) A[i * n + j] *= factor[i * n + j];
      std::fill(A + i * n + seen, A + (i + 1) * n, 0.0f);
    }
  }

 private:
  float* copy(const float* x, int64_t stride, float factor, Pieces& memory) const {
    float* out = memory.take(n * K);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < K; ++c) out[i * K + c] = factor * x[i * stride + c];
    return out;
  }
  float* scaled(float* x, const float* e, Pieces& memory) const {
    if (!x || !e) return x;
    float* out = memory.take(n * K);
    scale_rows(x, e, out);
    return out;
  }
  float* scores(const float* x, const float* turned, const float* factor, int64_t diagonal, Pieces& memory) const {
    float* A = memory.take(n * n);
    masked_product(A, x, K, K, turned, factor, diagonal);
    return A;
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

void head_forward(const HeadRecurrence& r, HeadOut o, float* states, float* W) {
  const int64_t K = r.K, V = r.V;
  copy_or_zeros(r.s0, K * V, states);
  for (int64_t i = 0; i < r.chunks(); ++i) {
    Pieces memory(Chunk::floats(r));
    const Chunk c(r, i, memory);
    if (i + 1 < r.chunks()) ask_chunk(r, i + 1);
    const int64_t n = c.n, t0 = i * r.chunk;
    const float* from = states + i * K * V;
    float *to = states + (i + 1) * K * V, *w = W ? W + t0 * V : nullptr, *out = o.data + t0 * o.stride;
    c.decay_state(from, to);
    product(out, o.stride, n, V, 0, c.q_start, K, 1, K, from, V);
    if (c.erases) {
      if (c.delta) {
        for (int64_t t = 0; t < n; ++t) std::copy_n(c.v + t * r.v.stride, V, w + t * V);
      } else {
        lower_product(w, V, n, V, 0, c.ak, c.v, r.v.stride);
      }
      product(w, V, n, V, 1, c.a_start, K, 1, K, from, V);
      solve(w, n, V, c.ab);
      lower_product(out, o.stride, n, V, 1, c.qb, w, V);
      product(to, V, K, V, 1, c.b_end, 1, K, n, w, V);
    }
    if (c.writes) {
      lower_product(out, o.stride, n, V, 1, c.qk, c.v, r.v.stride);
      product(to, V, K, V, 1, c.k_end, 1, K, n, c.v, r.v.stride);
    }
  }
}

void head_backward(const HeadRecurrence& r, const float* states, const float* W, HeadRows d_o, const float* d_last,
                   const HeadGradients& d) {
  const int64_t K = r.K, V = r.V, c_max = r.chunk;
  Pieces memory(Chunk::floats(r) + 3 * K * V + c_max * (6 * K + 4 * V + c_max) + K);
  float *dS = memory.take(K * V), *S_t = memory.take(K * V), *dS_t = memory.take(K * V);
  float *dq = memory.take(c_max * K), *da = memory.take(c_max * K), *db = memory.take(c_max * K);
  float *dk = memory.take(c_max * K), *part = memory.take(c_max * K), *dG = memory.take(c_max * K);
  float *dr = memory.take(c_max * V), *dv = memory.take(c_max * V);
  float *w_t = memory.take(c_max * V), *v_t = memory.take(c_max * V);
  float *dA = memory.take(c_max * c_max), *last = memory.take(K);
  copy_or_zeros(d_last, K * V, dS);

  for (int64_t i = r.chunks() - 1; i >= 0; --i) {
    Pieces rest = memory;
    const Chunk c(r, i, rest);
    if (i > 0) {
      const int64_t begin = (i - 1) * r.chunk, end = i * r.chunk;
      ask_chunk(r, i - 1), ask(d_o, begin, end, V);
      if (c.erases) ask({W, V}, begin, end, V);
    }
    const int64_t n = c.n, t0 = i * r.chunk;
    const float *S = states + i * K * V, *S_next = S + K * V, *w = W ? W + t0 * V : nullptr,
                *dO = d_o.data + t0 * d_o.stride;
    transpose(S, V, K, V, S_t), transpose(dS, V, K, V, dS_t);

    // What comes through the state.
    const auto through = [&](float* dx, const float* rows, int64_t stride, const float* state, const float* e) {
      product(dx, K, n, K, 0, rows, stride, 1, V, state, K);
      if (e) c.scale_rows(dx, e, dx);
    };
    through(dq, dO, d_o.stride, S_t, c.start_q);
    if (c.erases) {
      product(dr, V, n, V, 0, c.b_end, K, 1, K, dS, V);
      lower_transposed_product(dr, V, n, V, 1, c.qb, dO, d_o.stride);
      solve_transposed(dr, n, V, c.ab);
      through(da, dr, V, S_t, c.start_a), through(db, w, V, dS_t, c.end);
      transpose(w, V, n, V, w_t);
    }
    if (c.writes) {
      through(dk, c.v, r.v.stride, dS_t, c.end);
      product(dv, V, n, V, 0, c.k_end, K, 1, K, dS, V);
      lower_transposed_product(dv, V, n, V, 1, c.qk, dO, d_o.stride);
      if (c.erases) lower_transposed_product(dv, V, n, V, 1, c.ak, dr, V);
      transpose(c.v, r.v.stride, n, V, v_t);
    }

    // What comes through the scores: of each A = x y^T, x's and y's shares.
    const auto add = [&](auto multiply, float* dx, const float* ex, const float* y) {
      if (!ex) return multiply(dx, K, n, K, 1, dA, y, K);
      multiply(part, K, n, K, 0, dA, y, K);
      for (int64_t j = 0; j < n * K; ++j) dx[j] += part[j] * ex[j];
    };
    const auto through_scores = [&](const float* left, int64_t stride, const float* right_t, const float* factor,
                                    int64_t diagonal, float* dx, const float* x, const float* ex, float* dy,
                                    const float* y) {
      c.masked_product(dA, left, stride, V, right_t, factor, diagonal);
      add(lower_product, dx, ex, y), add(lower_transposed_product, dy, c.ey, x);
    };
    if (c.erases) {
      through_scores(dr, V, w_t, c.factor_a, -1, da, c.xa, c.ex_a, db, c.yb);
      through_scores(dO, d_o.stride, w_t, c.factor_q, 0, dq, c.xq, c.ex_q, db, c.yb);
    }
    if (c.writes) {
      through_scores(dO, d_o.stride, v_t, c.factor_q, 0, dq, c.xq, c.ex_q, dk, c.yk);
      if (c.erases) through_scores(dr, V, v_t, c.factor_a, -1, da, c.xa, c.ex_a, dk, c.yk);
    }

    // A row's own decay does not reach its a, except of the delta rule.
    const bool own = c.erases && !c.delta;
    if (d.g.data && r.g_vector) {
      for (int64_t j = 0; j < n * K; ++j) {
        dG[j] = c.q[j] * dq[j];
        if (c.erases) dG[j] += c.a[j] * da[j] - c.b[j] * db[j];
        if (c.writes) dG[j] -= c.k[j] * dk[j];
      }
      for (int64_t j = 0; j < K; ++j) last[j] = dot(S_next + j * V, dS + j * V, V);
      for (int64_t t = n - 1; t >= 0; --t) {
        float* out = d.g.data + (t0 + t) * d.g.stride;
        for (int64_t j = 0; j < K; ++j) {
          last[j] += dG[t * K + j];
          out[j] = last[j] - (own ? c.a[t * K + j] * da[t * K + j] : 0.0f);
        }
      }
    } else if (d.g.data) {  // the sums of the same over the channels
      float sum = dot(S_next, dS, K * V);
      for (int64_t t = n - 1; t >= 0; --t) {
        const auto of_row = [&](const float* x, const float* dx) { return dot(x + t * K, dx + t * K, K); };
        const float of_a = c.erases ? of_row(c.a, da) : 0.0f;
        sum += of_row(c.q, dq) + of_a;
        if (c.erases) sum -= of_row(c.b, db);
        if (c.writes) sum -= of_row(c.k, dk);
        d.g.data[(t0 + t) * d.g.stride] = sum - (own ? of_a : 0.0f);
      }
    }

    const auto put = [&](const HeadOut& to, const float* x, int64_t width, float factor) {
      for (int64_t t = 0; to.data && t < n; ++t)
        for (int64_t j = 0; j < width; ++j) to.data[(t0 + t) * to.stride + j] = factor * x[t * width + j];
    };
    put(d.q, dq, K, r.scale);
    if (c.delta) {
      for (int64_t t = 0; t < n; ++t) {
        const float b = c.beta[t * r.beta.stride], *k = c.raw_k + t * r.k.stride;
        if (d.beta.data) d.beta.data[(t0 + t) * d.beta.stride] = dot(db + t * K, k, K);
        for (int64_t j = 0; j < K; ++j) db[t * K + j] = b * db[t * K + j] - da[t * K + j];
      }
      put(d.k, db, K, 1), put(d.v, dr, V, 1);
    } else {
      put(d.k, dk, K, 1), put(d.v, dv, V, 1), put(d.a, da, K, 1), put(d.b, db, K, 1);
    }

    c.decay_state(dS, dS);
    product(dS, V, K, V, 1, c.q_start, 1, K, n, dO, d_o.stride);
    if (c.erases) product(dS, V, K, V, 1, c.a_start, 1, K, n, dr, V);
  }
  if (d.s0) std::copy_n(dS, K * V, d.s0);
}

}  // namespace jet
