// The recurrence of docs/design.md a chunk of C tokens at a time, in matrix form, and its gradients. With the rows of a
// chunk below each other, the state S before it and S' after it, and q scaled:
//   A_xy[t, s] = x_t . y_s e^(Gx_t - G_s)           x = q: Gq = G, s <= t;   x = a: Ga = G - g, s < t;   else zero
//   R  = A_ak V + (a e^Ga) S                        of the delta rule  V + (a e^Ga) S
//   U  = (I - A_ab)^-1 R
//   O  = (q e^G) S + A_qb U + A_qk V
//   S' = e^(G_C) S + (b e^(G_C - G))^T U + (k e^(G_C - G))^T V
//
// Of the delta rule a = -k e^g, which the code has as a = -k with Ga = G, and b = beta k; no term of V is left.
//
// Backward, chunks from the last to the first, dS' being the gradient of the state after the chunk:
//   dU = A_qb^T dO + (b e^(G_C - G)) dS'
//   dR = (I - A_ab)^-T dU
//   dS = e^(G_C) dS' + (q e^G)^T dO + (a e^Ga)^T dR
// then for all chunks at once:
//   dA_ab = dR U^T,  dA_ak = dR V^T,  dA_qb = dO U^T,  dA_qk = dO V^T,   each where A is not zero
//   dV = A_qk^T dO + A_ak^T dR + (k e^(G_C - G)) dS'                     of the delta rule  dR
//   dq = (dO S^T) e^G + ..,  da = (dR S^T) e^Ga + ..,  db = (U dS'^T) e^(G_C - G) + ..,  dk likewise
//                        ..: what the A give, dx_t = sum_s dA_xy[t, s] e^(Gx_t - G_s) y_s, and dy_s likewise
//   dG = q dq + a da - k dk - b db, and rowsum_V(S' dS') for the last row;   dg = sums of dG from the chunk's end
// (every factor e^G stands beside its q, a, b or k, so its gradient is the product of that row and its gradient).
//
// Memory: one state a chunk and U are kept, O(T); the rest is computed again. A decay per head enters as a [C, C]
// matrix of differences, which cannot overflow. A decay per channel is split as e^(G_t - m) e^(m - G_s) around the
// chunk's middle m, so the chunk is made short enough for both factors. In fp32 on the CPU each head is walked by
// itself (head_recurrence.h); elsewhere, and in fp64, what does not depend on the state is done for all chunks at once.
#include "jet/train/recurrence.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <utility>

#include "jet/base/denormals.h"
#include "jet/train/head_recurrence.h"

namespace jet {

using at::Tensor;

namespace {

constexpr double kMaxExponent = 60;  // e^60 * e^60 stays inside fp32's e^88 for the sums of a chunk of products

// A GPU is bound by the launches of the walk over the chunks, a CPU by the arithmetic within them.
int64_t choose_chunk(const Tensor& g, int64_t tokens, bool gpu) {
  const int64_t largest = gpu ? 64 : 32;
  if (!g.defined() || g.dim() != 4) return std::min(largest, tokens);
  const double steepest = -g.detach().min().item<double>();
  for (int64_t c : {64, 32, 16, 4}) {
    if (c <= largest && steepest * static_cast<double>(c) / 2 <= kMaxExponent) return std::min(c, tokens);
  }
  return 1;
}

// [B, T, H, D] <-> [N, M, C, D], M = B * H; zero-padded at the end: zeros change no state (k = b = a = 0, g = 0).
struct Chunks {
  int64_t batch, heads, tokens, size;

  Tensor of(const Tensor& x) const {
    const int64_t pad = (size - tokens % size) % size;
    const Tensor y = pad > 0 ? at::constant_pad_nd(x, {0, 0, 0, 0, 0, pad}) : x;
    return y.unflatten(1, {-1, size}).permute({1, 0, 3, 2, 4}).flatten(1, 2).contiguous();
  }
  void undo(const Tensor& x, const Tensor& into) const {
    const Tensor y = x.unflatten(1, {batch, heads}).permute({1, 0, 3, 2, 4}).flatten(1, 2);
    into.copy_(y.narrow(1, 0, tokens));
  }
};

// (I - a)^-1 of strictly lower triangular a [.., C, C]. Substitution: squaring a would lose digits to cancellation.
Tensor unit_lower_inverse(const Tensor& a) {
  const Tensor eye = at::eye(a.size(-1), a.options());
  return at::linalg_solve_triangular(eye - a, eye.expand_as(a), /*upper=*/false, true, /*unitriangular=*/true);
}

// The decays; G undefined where there is none.
struct Decay {
  bool per_channel = false;
  Tensor G;                      // [N, M, C, K or 1], inclusive sums
  Tensor Ga;                     // where a row of `a` meets the state: G, or G without the row's own decay
  Tensor last;                   // [N, M, 1, K or 1]
  Tensor mid;                    // [N, M, 1, K]
  Tensor start_q, start_a, end;  // e^G, e^Ga, e^(last - G)

  Tensor weighted(const Tensor& x, const Tensor& w) const { return w.defined() ? x * w : x; }
};

// A[t, s] = x_t . y_s e^(Gx_t - G_s) for s <= t (diagonal 0) or s < t (diagonal -1), zero elsewhere.
struct Scores {
  Tensor x, y, A;
  Tensor ex, ey;  // decay per channel: what x and y carry
  Tensor factor;  // decay per head: [N, M, C, C]
  int64_t diagonal;

  Scores() = default;
  Scores(const Tensor& rows, const Tensor& Gx, const Tensor& columns, const Decay& d, int64_t lower)
      : x(rows), y(columns), diagonal(lower) {
    if (d.per_channel) {
      ex = (Gx - d.mid).exp_(), ey = (d.mid - d.G).exp_();
      x = x * ex, y = y * ey;
    }
    A = at::matmul(x, y.transpose(-1, -2));
    if (d.per_channel || !d.G.defined()) {
      A.tril_(lower);
    } else {
      const int64_t c = x.size(-2);
      const Tensor above = at::ones({c, c}, x.options().dtype(at::kBool)).triu_(lower + 1);
      factor = (Gx - d.G.transpose(-1, -2)).masked_fill_(above, -INFINITY).exp_();
      A.mul_(factor);
    }
  }
  /// dA = left right^T -> adds x's and y's share to dx and dy.
  void add_gradients(const Tensor& left, const Tensor& right, Tensor& dx, Tensor& dy) const {
    Tensor dA = at::matmul(left, right.transpose(-1, -2));
    factor.defined() ? dA.mul_(factor) : dA.tril_(diagonal);
    const Tensor gx = at::matmul(dA, y), gy = at::matmul(dA.transpose(-1, -2), x);
    ex.defined() ? dx.addcmul_(gx, ex) : dx.add_(gx);
    ey.defined() ? dy.addcmul_(gy, ey) : dy.add_(gy);
  }
};

// The inputs in chunks, and what follows from them without the state.
struct Pass {
  bool delta, erases, writes;  // writes: v has a term of its own (all but the delta rule)
  double scale;
  Tensor raw_k, beta;    // of the delta rule
  Tensor q, k, v, a, b;  // [N, M, C, K or V]
  Decay d;
  Scores qk, qb, ak, ab;
  Tensor q_start, a_start, k_end, b_end;
  Tensor inverse, decay_end;  // (I - A_ab)^-1, [N, M, C, C]; e^last as a factor of the state, [N, M, K or 1, 1]

  Pass(const Recurrence<Tensor>& r, const Chunks& s)
      : delta(r.beta.defined()), erases(delta || r.a.defined()), writes(!delta), scale(double{r.scale}) {
    q = s.of(r.q) * r.scale, k = s.of(r.k), v = s.of(r.v);
    if (delta) {
      raw_k = k, beta = s.of(r.beta.unsqueeze(-1));
      a = -raw_k, b = raw_k * beta;
    } else if (erases) {
      a = s.of(r.a), b = s.of(r.b);
    }
    if (r.g.defined()) set_decay(s.of(r.g.dim() == 4 ? r.g : r.g.unsqueeze(-1)), r.g.dim() == 4);
    q_start = d.weighted(q, d.start_q);
    if (erases) {
      ab = Scores(a, d.Ga, b, d, -1), qb = Scores(q, d.G, b, d, 0);
      a_start = d.weighted(a, d.start_a), b_end = d.weighted(b, d.end);
      inverse = unit_lower_inverse(ab.A);
    }
    if (writes) {
      qk = Scores(q, d.G, k, d, 0), k_end = d.weighted(k, d.end);
      if (erases) ak = Scores(a, d.Ga, k, d, -1);
    }
  }

  int64_t chunks() const { return q.size(0); }

 private:
  void set_decay(const Tensor& g, bool per_channel) {
    const int64_t c = g.size(-2);
    d.per_channel = per_channel;
    d.G = g.cumsum(-2);
    d.last = d.G.narrow(-2, c - 1, 1), d.mid = d.G.narrow(-2, (c - 1) / 2, 1);
    d.start_q = d.G.exp(), d.end = (d.last - d.G).exp_(), decay_end = d.last.exp().transpose(-1, -2);
    if (!erases) return;
    d.Ga = delta ? d.G : d.G - g;
    d.start_a = delta ? d.start_q : d.Ga.exp();
  }
};

// A recurrence and the state before it; of gradients, what they go into.
struct Inputs {
  Recurrence<Tensor> r;
  Tensor s0;
};

// What the backward pass needs beside the inputs.
struct Kept {
  Tensor states;  // [N + 1, M, K, V]: before each chunk, and the last
  Tensor U;       // [N, M, C, V] where there is an erasing term
};

Kept forward_chunks(const Pass& p, const Tensor& s0, const Chunks& s, const Tensor& o) {
  const int64_t n_chunks = p.chunks(), m = p.q.size(1);
  Kept kept{at::empty({n_chunks + 1, m, p.q.size(-1), p.v.size(-1)}, p.q.options()), {}};
  s0.defined() ? kept.states[0].copy_(s0.flatten(0, 1)) : kept.states[0].zero_();
  Tensor X, grow;  // R without the state's part
  if (p.erases) {
    X = p.writes ? at::matmul(p.ak.A, p.v) : p.v;
    kept.U = at::empty_like(p.v);
  }
  if (p.writes) grow = at::matmul(p.k_end.transpose(-1, -2), p.v);
  for (int64_t n = 0; n < n_chunks; ++n) {
    const Tensor from = kept.states[n];
    Tensor to = kept.states[n + 1], u;
    p.decay_end.defined() ? at::mul_out(to, from, p.decay_end[n]) : to.copy_(from);
    if (p.erases) {
      u = kept.U[n];
      at::bmm_out(u, p.inverse[n], at::baddbmm(X[n], p.a_start[n], from));
      to.baddbmm_(p.b_end[n].transpose(-1, -2), u);
    }
    if (p.writes) to.add_(grow[n]);
  }
  Tensor out = at::matmul(p.q_start, kept.states.narrow(0, 0, n_chunks));
  if (p.erases) out.add_(at::matmul(p.qb.A, kept.U));
  if (p.writes) out.add_(at::matmul(p.qk.A, p.v));
  s.undo(out, o);
  return kept;
}

// The walk back over the chunks.
struct Walk {
  Tensor dS_to;  // [N, M, K, V]: of the state after each chunk
  Tensor dR;     // [N, M, C, V] where there is an erasing term
  Tensor dS0;    // [M, K, V]
};

Walk walk_back(const Pass& p, const Tensor& dO, const Tensor& d_last) {
  Tensor dS_from = at::matmul(p.q_start.transpose(-1, -2), dO);  // becomes the gradient of each chunk's start state
  Walk w{at::empty_like(dS_from), {}, d_last.defined() ? d_last.flatten(0, 1) : at::zeros_like(dS_from[0])};
  Tensor dU;
  if (p.erases) dU = at::matmul(p.qb.A.transpose(-1, -2), dO), w.dR = at::empty_like(dU);
  for (int64_t n = p.chunks() - 1; n >= 0; --n) {
    w.dS_to[n].copy_(w.dS0);
    Tensor from = dS_from[n];
    p.decay_end.defined() ? from.addcmul_(w.dS0, p.decay_end[n]) : from.add_(w.dS0);
    if (p.erases) {
      Tensor du = dU[n], dr = w.dR[n];
      du.baddbmm_(p.b_end[n], w.dS0);
      at::bmm_out(dr, p.inverse[n].transpose(-1, -2), du);
      from.baddbmm_(p.a_start[n].transpose(-1, -2), dr);
    }
    w.dS0 = from;
  }
  return w;
}

// All in chunks, [N, M, C, K or V].
struct RowGradients {
  Tensor dq, dk, dv, da, db;
};

RowGradients row_gradients(const Pass& p, const Kept& kept, const Tensor& dO, const Walk& w) {
  const Tensor S_t = kept.states.narrow(0, 0, p.chunks()).transpose(-1, -2), dS_t = w.dS_to.transpose(-1, -2);
  RowGradients d;
  d.dq = p.d.weighted(at::matmul(dO, S_t), p.d.start_q);
  if (p.erases) {
    d.da = p.d.weighted(at::matmul(w.dR, S_t), p.d.start_a);
    d.db = p.d.weighted(at::matmul(kept.U, dS_t), p.d.end);
    p.ab.add_gradients(w.dR, kept.U, d.da, d.db);
    p.qb.add_gradients(dO, kept.U, d.dq, d.db);
    d.dv = w.dR;
  }
  if (p.writes) {
    d.dk = p.d.weighted(at::matmul(p.v, dS_t), p.d.end);
    p.qk.add_gradients(dO, p.v, d.dq, d.dk);
    d.dv = at::matmul(p.qk.A.transpose(-1, -2), dO).add_(at::matmul(p.k_end, w.dS_to));
    if (p.erases) {
      p.ak.add_gradients(w.dR, p.v, d.da, d.dk);
      d.dv.add_(at::matmul(p.ak.A.transpose(-1, -2), w.dR));
    }
  }
  return d;
}

// [N, M, C, K or 1]
Tensor decay_gradient(const Pass& p, const Kept& kept, const Walk& w, const RowGradients& d) {
  const auto sum = [&](const Tensor& t) { return p.d.per_channel ? t : t.sum(-1, true); };
  Tensor dG = p.q * d.dq, own;
  if (p.erases) dG.addcmul_(p.b, d.db, -1), own = p.a * d.da, dG.add_(own);
  if (p.writes) dG.addcmul_(p.k, d.dk, -1);
  dG = sum(dG);
  Tensor last = dG.narrow(-2, dG.size(-2) - 1, 1);
  last.add_(sum((kept.states.narrow(0, 1, p.chunks()) * w.dS_to).sum(-1).unsqueeze(-2)));
  Tensor dg = dG.flip(-2).cumsum(-2).flip(-2);
  if (p.erases && !p.delta) dg.sub_(sum(own));
  return dg;
}

// Adds nothing, overwrites: `into` is as large as the inputs, d_out the gradients of o and of the final state.
void backward_chunks(const Pass& p, const Kept& kept, const Chunks& s, const std::vector<Tensor>& d_out,
                     const Inputs& into) {
  const Tensor dO = s.of(d_out[0]);
  const Walk w = walk_back(p, dO, d_out[1]);
  if (into.s0.defined()) into.s0.copy_(w.dS0.unflatten(0, {s.batch, s.heads}));
  RowGradients d = row_gradients(p, kept, dO, w);
  const Recurrence<Tensor>& to = into.r;
  if (to.g.defined()) s.undo(decay_gradient(p, kept, w, d), to.g.dim() == 4 ? to.g : to.g.unsqueeze(-1));
  if (p.delta) {
    s.undo((d.db * p.raw_k).sum(-1, true), to.beta.unsqueeze(-1));
    d.dk = d.db.mul_(p.beta).sub_(d.da);
  }
  s.undo(d.dq.mul_(p.scale), to.q), s.undo(d.dk, to.k), s.undo(d.dv, to.v);
  if (!p.delta && p.erases) s.undo(d.da, to.a), s.undo(d.db, to.b);
}

bool by_heads(const Tensor& q) { return q.device().is_cpu() && q.scalar_type() == at::kFloat; }

// One head of a [B, T, H, D] or [B, T, H] tensor.
template <class Rows>
Rows head_of(const Tensor& x, int64_t b, int64_t h) {
  if (!x.defined()) return {};
  return {x.mutable_data_ptr<float>() + b * x.stride(0) + h * x.stride(2), x.stride(1)};
}
template <class Rows>
HeadTensors<Rows> heads_of(const Recurrence<Tensor>& r, int64_t b, int64_t h) {
  const auto rows = [&](const Tensor& x) { return head_of<Rows>(x, b, h); };
  return {rows(r.q), rows(r.k), rows(r.a), rows(r.b), rows(r.v), rows(r.g), rows(r.beta)};
}
float* state_of(const Tensor& x, int64_t b, int64_t h) {
  return x.defined() ? x.mutable_data_ptr<float>() + b * x.stride(0) + h * x.stride(1) : nullptr;
}
// A row's numbers side by side.
Tensor in_rows(const Tensor& x) { return x.defined() && x.dim() == 4 && x.stride(3) != 1 ? x.contiguous() : x; }
Recurrence<Tensor> in_rows(Recurrence<Tensor> r) {
  for (Tensor* x : {&r.q, &r.k, &r.v, &r.g, &r.a, &r.b}) *x = in_rows(*x);
  return r;
}

// f(b, h, that head) for each, on all threads. Each takes the next head when it is done with its last: on a shared
// machine they are not equally fast.
template <class F>
void for_heads(const Inputs& in, int64_t chunk, F&& f) {
  const Recurrence<Tensor> r = in_rows(in.r);
  const Tensor s0 = in.s0.defined() ? in.s0.contiguous() : in.s0;
  const int64_t heads = r.q.size(2), all = r.q.size(0) * heads;
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min<int64_t>(all, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    const FlushDenormals flush;
    for (int64_t i = next++; i < all; i = next++) {
      const int64_t b = i / heads, h = i % heads;
      HeadRecurrence head{heads_of<HeadRows>(r, b, h)};
      head.tokens = r.q.size(1), head.K = r.q.size(3), head.V = r.v.size(3), head.chunk = chunk;
      head.scale = r.scale, head.g_vector = r.g.defined() && r.g.dim() == 4, head.s0 = state_of(s0, b, h);
      f(b, h, head);
    }
  });
}

struct Result {
  Tensor o, last;
  Kept kept;
};

Chunks chunks_of(const Tensor& q, int64_t chunk) { return {q.size(0), q.size(2), q.size(1), chunk}; }

Result forward(const Inputs& in, int64_t chunk) {
  const at::NoGradGuard no_grad;
  const Recurrence<Tensor>& r = in.r;
  const int64_t batch = r.q.size(0), tokens = r.q.size(1), heads = r.q.size(2), K = r.q.size(3), V = r.v.size(3);
  Result out{at::empty_like(r.v, at::MemoryFormat::Contiguous), {}, {}};
  if (!by_heads(r.q)) {
    out.kept = forward_chunks(Pass(r, chunks_of(r.q, chunk)), in.s0, chunks_of(r.q, chunk), out.o);
    out.last = out.kept.states[out.kept.states.size(0) - 1].unflatten(0, {batch, heads}).clone();
    return out;
  }
  const bool erases = r.beta.defined() || r.a.defined();
  const int64_t n = (tokens + chunk - 1) / chunk;
  out.kept = {at::empty({batch, heads, n + 1, K, V}, r.q.options()),
              erases ? at::empty({batch, heads, tokens, V}, r.q.options()) : Tensor()};
  for_heads(in, chunk, [&](int64_t b, int64_t h, const HeadRecurrence& t) {
    head_forward(t, head_of<HeadOut>(out.o, b, h), state_of(out.kept.states, b, h), state_of(out.kept.U, b, h));
  });
  out.last = out.kept.states.select(2, n).contiguous();
  return out;
}

void backward(const Inputs& in, const Kept& kept, int64_t chunk, const std::vector<Tensor>& d_out, const Inputs& into) {
  const at::NoGradGuard no_grad;
  if (!by_heads(in.r.q)) {
    const Chunks s = chunks_of(in.r.q, chunk);
    return backward_chunks(Pass(in.r, s), kept, s, d_out, into);
  }
  const Tensor d_o = in_rows(d_out[0]), d_last = d_out[1].defined() ? d_out[1].contiguous() : Tensor();
  for_heads(in, chunk, [&](int64_t b, int64_t h, const HeadRecurrence& t) {
    head_backward(t, state_of(kept.states, b, h), state_of(kept.U, b, h), head_of<HeadRows>(d_o, b, h),
                  state_of(d_last, b, h), {heads_of<HeadOut>(into.r, b, h), state_of(into.s0, b, h)});
  });
}

// The inputs in one order, which is also that of their gradients.
constexpr size_t kInputs = 8;
std::array<Tensor*, kInputs> list(Inputs& in) {
  Recurrence<Tensor>& r = in.r;
  return {&r.q, &r.k, &r.v, &r.g, &r.beta, &r.a, &r.b, &in.s0};
}

class RecurrenceFunction : public torch::autograd::Function<RecurrenceFunction> {
 public:
  using Context = torch::autograd::AutogradContext;
  using List = torch::autograd::variable_list;

  // `present`: those of the inputs that bit i of `mask` says are there.
  static List forward(Context* ctx, at::TensorList present, int64_t mask, double scale, int64_t chunk) {
    const Result result = jet::forward(unpack(present, mask, scale), chunk);
    List saved = present.vec();
    saved.push_back(result.kept.states), saved.push_back(result.kept.U);
    ctx->save_for_backward(saved);
    ctx->saved_data["mask"] = mask, ctx->saved_data["scale"] = scale, ctx->saved_data["chunk"] = chunk;
    return {result.o, result.last};
  }

  static List backward(Context* ctx, List d_out) {
    require(!at::GradMode::is_enabled(), "the recurrence has first derivatives only: do not ask for create_graph");
    const int64_t mask = ctx->saved_data["mask"].toInt();
    const double scale = ctx->saved_data["scale"].toDouble();
    const auto present = static_cast<size_t>(std::popcount(static_cast<uint64_t>(mask)));
    const List saved = ctx->get_saved_variables();
    Inputs in = unpack(saved, mask, scale), into;
    List grads;
    for (size_t i = 0; i < kInputs; ++i) {
      const Tensor& t = *list(in)[i];
      if (!t.defined()) continue;
      grads.push_back(at::empty_like(t, at::MemoryFormat::Contiguous));
      *list(into)[i] = grads.back();
    }
    if (!d_out[0].defined()) d_out[0] = at::zeros_like(in.r.v);
    jet::backward(in, {saved[present], saved[present + 1]}, ctx->saved_data["chunk"].toInt(), d_out, into);
    for (int unused = 0; unused < 3; ++unused) grads.emplace_back();  // of mask, scale and chunk
    return grads;
  }

 private:
  static Inputs unpack(at::TensorList present, int64_t mask, double scale) {
    Inputs in;
    in.r.scale = static_cast<float>(scale);
    size_t next = 0;
    for (size_t i = 0; i < kInputs; ++i)
      if (mask >> i & 1) *list(in)[i] = present[next++];
    return in;
  }
};

}  // namespace

std::pair<Tensor, Tensor> chunked_recurrence(const Recurrence<Tensor>& given, const Tensor& s0, int64_t chunk) {
  Inputs in{given, s0};
  Recurrence<Tensor>& r = in.r;
  const auto type = r.q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  if (r.g.defined() && r.g.dim() == 1) r.g = r.g.to(r.q.device()).expand({r.q.size(0), r.q.size(1), r.q.size(2)});
  std::vector<Tensor> present;
  int64_t mask = 0;
  bool learns = false;
  for (size_t i = 0; i < kInputs; ++i) {
    Tensor& t = *list(in)[i];
    if (!t.defined()) continue;
    t = t.to(type);
    present.push_back(t);
    mask |= int64_t{1} << i;
    learns = learns || t.requires_grad();
  }
  const int64_t c = chunk > 0 ? std::min(chunk, r.q.size(1)) : choose_chunk(r.g, r.q.size(1), r.q.is_cuda());
  if (learns && at::GradMode::is_enabled()) {
    const auto out = RecurrenceFunction::apply(at::TensorList(present), mask, double{r.scale}, c);
    return {out[0], out[1]};
  }
  const Result out = forward(in, c);
  return {out.o, out.last};
}

}  // namespace jet
