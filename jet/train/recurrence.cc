// Chunked (matrix) form of   S_t = D_t S_(t-1) + b_t (a_t^T S_(t-1)) + k_t v_t^T,  o_t = scale S_t^T q_t,  D_t =
// diag(exp g_t), and of its gradients.
//
// Forward. Within a chunk that starts from S, with G_t = sum_(s<=t) g_s, rows of q scaled, T = (I - A_ab)^-1:
//   A_xy[t, s] = x_t . y_s e^(Gx_t - G_s)    s <= t for x = q (Gq = G), s < t for x = a (Ga = G - g)
//   W  = T (A_ak V + (a e^Ga) S)             row t: a_t^T S_(t-1), what the erasing term reads
//   O  = (q e^G) S + A_qb W + A_qk V
//   S' = e^(G_C) S + (b e^(G_C - G))^T W + (k e^(G_C - G))^T V
// The delta rule is the case a = -k e^g (so Ga = G), b = k <- beta k. Both matrices that V meets are then those that W
// meets: W + V takes the place of W, W = T (V + (a e^Ga) S), and no term of V is left.
//
// Backward, dS' being the gradient of the chunk's end state; chunks from the last to the first:
//   dW = A_qb^T dO + (b e^(G_C - G)) dS',   dR = T^T dW
//   dS = e^(G_C) dS' + (q e^G)^T dO + (a e^Ga)^T dR
// then for all chunks at once:
//   dA_ab = dR W^T,  dA_ak = dR V^T,  dA_qb = dO W^T,  dA_qk = dO V^T,   each where A is not zero
//   dV = A_qk^T dO + A_ak^T dR + (k e^(G_C - G)) dS',   of the delta rule dV = dR
//   dq = (dO S^T) e^G + ..., da = (dR S^T) e^Ga + ..., db = (W dS'^T) e^(G_C - G) + ..., dk likewise, + what the A give
//   dG = q dq + a da - k dk - b db, and rowsum_V(S' dS') for the last row;   dg = sums of dG from the chunk's end
// (every factor e^G stands beside its q, a, b or k, so its gradient is the product of that row and its gradient).
//
// Memory: one state a chunk and W are kept, O(T); the rest is computed again. A decay per head enters as a [C, C]
// matrix of differences, which cannot overflow. A decay per channel is split as e^(G_t - m) e^(m - G_s) around the
// chunk's middle m, so the chunk is made short enough for both factors. On the CPU the work is cut into slices of
// heads, at least two a thread; on other devices one slice is everything.
#include "jet/train/recurrence.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

namespace jet {

using at::Tensor;

namespace {

constexpr double kMaxExponent = 60;  // e^60 * e^60 stays inside fp32's e^88 for the sums of a chunk of products

int64_t choose_chunk(const Tensor& g, int64_t tokens) {
  for (int64_t c : {32, 16, 4}) {
    const bool channels = g.defined() && g.dim() == 4;
    if (!channels || -g.detach().min().item<double>() * static_cast<double>(c) / 2 <= kMaxExponent) {
      return std::min(c, tokens);
    }
  }
  return 1;
}

// The sequences [b0, b0 + nb) and heads [h0, h0 + nh) of a call, cut into chunks of `chunk` tokens.
struct Slice {
  int64_t b0, nb, h0, nh, tokens, chunk;

  Tensor part(const Tensor& x) const { return x.narrow(0, b0, nb).narrow(2, h0, nh); }
  Tensor of_state(const Tensor& x) const { return x.narrow(0, b0, nb).narrow(1, h0, nh); }  // of [B, H, K, V]
  // [B, T, H, D] -> [N, M, C, D], M = nb * nh; zero-padded at the end: zeros change no state (k = b = a = 0, g = 0).
  Tensor to_chunks(const Tensor& x) const {
    const int64_t pad = (chunk - tokens % chunk) % chunk;
    Tensor y = part(x);
    if (pad > 0) y = at::constant_pad_nd(y, {0, 0, 0, 0, 0, pad});
    return y.unflatten(1, {-1, chunk}).permute({1, 0, 3, 2, 4}).flatten(1, 2).contiguous();
  }
  void from_chunks(const Tensor& x, const Tensor& into) const {
    const Tensor y = x.unflatten(1, {nb, nh}).permute({1, 0, 3, 2, 4}).flatten(1, 2);
    part(into).copy_(y.narrow(1, 0, tokens));
  }
};

// t <- (I - a)^-1 for one strictly lower triangular a [c, c], row by row: t_i = e_i + sum_(j<i) a_ij t_j.
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"))) void unit_lower_inverse(const float* a,
                                                                                                      float* t,
                                                                                                      int64_t c) {
  for (int64_t i = 0; i < c; ++i) {
    float* row = t + i * c;
    for (int64_t n = 0; n < c; ++n) row[n] = n == i;
    for (int64_t j = 0; j < i; ++j)
      for (int64_t n = 0; n <= j; ++n) row[n] += a[i * c + j] * t[j * c + n];
  }
}

// (I - a)^-1 of strictly lower triangular a [.., C, C]. Substitution: squaring a would lose digits to cancellation.
Tensor unit_lower_inverse(const Tensor& a) {
  const int64_t c = a.size(-1);
  if (!a.device().is_cpu() || a.scalar_type() != at::kFloat) {
    const Tensor eye = at::eye(c, a.options());
    return at::linalg_solve_triangular(eye - a, eye.expand_as(a), /*upper=*/false, true, /*unitriangular=*/true);
  }
  Tensor t = at::empty_like(a);
  for (int64_t m = 0; m < a.numel(); m += c * c) {
    unit_lower_inverse(a.const_data_ptr<float>() + m, t.mutable_data_ptr<float>() + m, c);
  }
  return t;
}

// The decays of one slice; G undefined where there is none.
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

// One slice's inputs in chunks, and what follows from them without the state.
struct Pass {
  bool delta, erases, writes;  // writes: V has terms of its own (all but the delta rule)
  Tensor raw_k, beta;          // of the delta rule
  Tensor q, k, v, a, b;        // [N, M, C, K or V]
  Decay d;
  Scores qk, qb, ak, ab;
  Tensor q_start, a_start, k_end, b_end;
  Tensor T, decay_end;  // [N, M, C, C]; e^last as a factor of the state, [N, M, K or 1, 1]

  Pass(const Recurrence<Tensor>& r, const Slice& s)
      : delta(r.beta.defined()), erases(delta || r.a.defined()), writes(!delta) {
    q = s.to_chunks(r.q) * r.scale, k = s.to_chunks(r.k), v = s.to_chunks(r.v);
    if (delta) {
      raw_k = k, beta = s.to_chunks(r.beta.unsqueeze(-1));
      a = -raw_k, b = raw_k * beta;
    } else if (erases) {
      a = s.to_chunks(r.a), b = s.to_chunks(r.b);
    }
    if (r.g.defined()) set_decay(s.to_chunks(r.g.dim() == 4 ? r.g : r.g.unsqueeze(-1)), r.g.dim() == 4);
    q_start = d.weighted(q, d.start_q);
    if (erases) {
      ab = Scores(a, d.Ga, b, d, -1), qb = Scores(q, d.G, b, d, 0);
      a_start = d.weighted(a, d.start_a), b_end = d.weighted(b, d.end);
      T = unit_lower_inverse(ab.A);
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

// What a slice's backward pass needs beside the inputs.
struct Kept {
  Tensor states;  // [N + 1, M, K, V]: before each chunk, and the last
  Tensor W;       // [N, M, C, V] where there is an erasing term
};

Kept forward_slice(const Pass& p, const Tensor& s0, const Slice& s, const Tensor& o) {
  const int64_t n_chunks = p.chunks(), m = p.q.size(1);
  Kept kept{at::empty({n_chunks + 1, m, p.q.size(-1), p.v.size(-1)}, p.q.options()), {}};
  s0.defined() ? kept.states[0].copy_(s.of_state(s0).flatten(0, 1)) : kept.states[0].zero_();
  Tensor X, grow;
  if (p.erases) {
    X = p.writes ? at::matmul(p.ak.A, p.v) : p.v;
    kept.W = at::empty_like(p.v);
  }
  if (p.writes) grow = at::matmul(p.k_end.transpose(-1, -2), p.v);
  for (int64_t n = 0; n < n_chunks; ++n) {
    const Tensor from = kept.states[n];
    Tensor to = kept.states[n + 1], w;
    p.decay_end.defined() ? at::mul_out(to, from, p.decay_end[n]) : to.copy_(from);
    if (p.erases) {
      w = kept.W[n];
      at::bmm_out(w, p.T[n], at::baddbmm(X[n], p.a_start[n], from));
      to.baddbmm_(p.b_end[n].transpose(-1, -2), w);
    }
    if (p.writes) to.add_(grow[n]);
  }
  Tensor out = at::matmul(p.q_start, kept.states.narrow(0, 0, n_chunks));
  if (p.erases) out.add_(at::matmul(p.qb.A, kept.W));
  if (p.writes) out.add_(at::matmul(p.qk.A, p.v));
  s.from_chunks(out, o);
  return kept;
}

// Adds nothing, overwrites: `into` and `into_s0` are as large as the inputs, d_out the gradients of o and final state.
void backward_slice(const Pass& p, const Kept& kept, const Slice& s, double scale, const std::vector<Tensor>& d_out,
                    const Recurrence<Tensor>& into, const Tensor& into_s0) {
  const int64_t n_chunks = p.chunks();
  const Tensor dO = s.to_chunks(d_out[0]);
  const Tensor S = kept.states.narrow(0, 0, n_chunks);
  // The walk over the chunks.
  Tensor dS_from = at::matmul(p.q_start.transpose(-1, -2), dO);  // becomes the gradient of each chunk's start state
  const Tensor dS_to = at::empty_like(dS_from);
  Tensor dW, dR;
  if (p.erases) dW = at::matmul(p.qb.A.transpose(-1, -2), dO), dR = at::empty_like(dW);
  Tensor dS = d_out[1].defined() ? s.of_state(d_out[1]).flatten(0, 1) : at::zeros_like(S[0]);
  for (int64_t n = n_chunks - 1; n >= 0; --n) {
    dS_to[n].copy_(dS);
    Tensor from = dS_from[n];
    p.decay_end.defined() ? from.addcmul_(dS, p.decay_end[n]) : from.add_(dS);
    if (p.erases) {
      Tensor dw = dW[n], dr = dR[n];
      dw.baddbmm_(p.b_end[n], dS);
      at::bmm_out(dr, p.T[n].transpose(-1, -2), dw);
      from.baddbmm_(p.a_start[n].transpose(-1, -2), dr);
    }
    dS = from;
  }
  if (into_s0.defined()) s.of_state(into_s0).copy_(dS.unflatten(0, {s.nb, s.nh}));

  // All chunks at once.
  const Tensor S_t = S.transpose(-1, -2), dS_t = dS_to.transpose(-1, -2);
  Tensor dq = p.d.weighted(at::matmul(dO, S_t), p.d.start_q), dk, dv, da, db;
  if (p.erases) {
    da = p.d.weighted(at::matmul(dR, S_t), p.d.start_a);
    db = p.d.weighted(at::matmul(kept.W, dS_t), p.d.end);
    p.ab.add_gradients(dR, kept.W, da, db);
    p.qb.add_gradients(dO, kept.W, dq, db);
    dv = dR;
  }
  if (p.writes) {
    dk = p.d.weighted(at::matmul(p.v, dS_t), p.d.end);
    p.qk.add_gradients(dO, p.v, dq, dk);
    dv = at::matmul(p.qk.A.transpose(-1, -2), dO).add_(at::matmul(p.k_end, dS_to));
    if (p.erases) {
      p.ak.add_gradients(dR, p.v, da, dk);
      dv.add_(at::matmul(p.ak.A.transpose(-1, -2), dR));
    }
  }
  if (into.g.defined()) {
    const auto sum = [&](const Tensor& t) { return p.d.per_channel ? t : t.sum(-1, true); };
    Tensor dG = p.q * dq, own;
    if (p.erases) dG.addcmul_(p.b, db, -1), own = p.a * da, dG.add_(own);
    if (p.writes) dG.addcmul_(p.k, dk, -1);
    dG = sum(dG);
    Tensor last = dG.narrow(-2, dG.size(-2) - 1, 1);
    last.add_(sum((kept.states.narrow(0, 1, n_chunks) * dS_to).sum(-1).unsqueeze(-2)));
    Tensor dg = dG.flip(-2).cumsum(-2).flip(-2);
    if (p.erases && !p.delta) dg.sub_(sum(own));
    s.from_chunks(dg, into.g.dim() == 4 ? into.g : into.g.unsqueeze(-1));
  }
  if (p.delta) {
    s.from_chunks((db * p.raw_k).sum(-1, true), into.beta.unsqueeze(-1));
    dk = db.mul_(p.beta).sub_(da);
  }
  s.from_chunks(dq.mul_(scale), into.q), s.from_chunks(dk, into.k), s.from_chunks(dv, into.v);
  if (!p.delta && p.erases) s.from_chunks(da, into.a), s.from_chunks(db, into.b);
}

// Short rows share a slice: below some hundred tokens the calls cost more than the arithmetic.
constexpr int64_t kSliceTokens = 512;

std::vector<Slice> slices(const Tensor& q, int64_t chunk) {
  const int64_t batch = q.size(0), tokens = q.size(1), heads = q.size(2), wanted = 2 * at::get_num_threads();
  if (!q.device().is_cpu()) return {{0, batch, 0, heads, tokens, chunk}};
  const int64_t nh = std::clamp<int64_t>(batch * heads / wanted, 1, heads);
  const int64_t nb = std::clamp<int64_t>(kSliceTokens / tokens, 1, std::max<int64_t>(1, batch / wanted));
  std::vector<Slice> out;
  for (int64_t b = 0; b < batch; b += nb)
    for (int64_t h = 0; h < heads; h += nh)
      out.push_back({b, std::min(nb, batch - b), h, std::min(nh, heads - h), tokens, chunk});
  return out;
}

// Slices are independent; each thread takes its share. What runs inside must not record gradients.
template <class F>
void for_slices(const std::vector<Slice>& all, F&& f) {
  at::parallel_for(0, static_cast<int64_t>(all.size()), 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    for (int64_t i = begin; i < end; ++i) f(i, all[i]);
  });
}

struct Result {
  Tensor o, last;
  std::vector<Tensor> kept;  // states and W of every slice
};

Result forward(const Recurrence<Tensor>& r, const Tensor& s0, int64_t chunk, bool keep) {
  const auto all = slices(r.q, chunk);
  const int64_t batch = r.q.size(0), heads = r.q.size(2);
  Result out{at::empty_like(r.v, at::MemoryFormat::Contiguous),
             at::empty({batch, heads, r.q.size(-1), r.v.size(-1)}, r.q.options()),
             {}};
  if (keep) out.kept.resize(2 * all.size());
  for_slices(all, [&](int64_t i, const Slice& s) {
    const Kept kept = forward_slice(Pass(r, s), s0, s, out.o);
    const Tensor last = kept.states[kept.states.size(0) - 1].unflatten(0, {s.nb, s.nh});
    s.of_state(out.last).copy_(last);
    if (keep) out.kept[2 * i] = kept.states, out.kept[2 * i + 1] = kept.W;
  });
  return out;
}

// The inputs in one order, which is also that of their gradients.
constexpr size_t kInputs = 8;
std::array<Tensor*, kInputs> inputs_of(Recurrence<Tensor>& r, Tensor& s0) {
  return {&r.q, &r.k, &r.v, &r.g, &r.beta, &r.a, &r.b, &s0};
}

class RecurrenceFunction : public torch::autograd::Function<RecurrenceFunction> {
 public:
  using Context = torch::autograd::AutogradContext;
  using List = torch::autograd::variable_list;

  // `present`: those of the inputs that bit i of `mask` says are there.
  static List forward(Context* ctx, at::TensorList present, int64_t mask, double scale, int64_t chunk) {
    Tensor s0;
    Recurrence<Tensor> r = unpack(present, mask, scale, s0);
    Result result = jet::forward(r, s0, chunk, true);
    List saved = present.vec();
    saved.insert(saved.end(), result.kept.begin(), result.kept.end());
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
    Tensor s0, d_s0;
    Recurrence<Tensor> r = unpack(saved, mask, scale, s0), d;
    List grads;
    for (size_t i = 0; i < kInputs; ++i) {
      const Tensor& t = *inputs_of(r, s0)[i];
      if (!t.defined()) continue;
      grads.push_back(at::empty_like(t, at::MemoryFormat::Contiguous));
      *inputs_of(d, d_s0)[i] = grads.back();
    }
    if (!d_out[0].defined()) d_out[0] = at::zeros_like(r.v);
    for_slices(slices(r.q, ctx->saved_data["chunk"].toInt()), [&](int64_t i, const Slice& s) {
      const Kept kept{saved[present + 2 * i], saved[present + 2 * i + 1]};
      backward_slice(Pass(r, s), kept, s, scale, d_out, d, d_s0);
    });
    for (int unused = 0; unused < 3; ++unused) grads.emplace_back();  // of mask, scale and chunk
    return grads;
  }

 private:
  static Recurrence<Tensor> unpack(at::TensorList present, int64_t mask, double scale, Tensor& s0) {
    Recurrence<Tensor> r;
    r.scale = static_cast<float>(scale);
    size_t next = 0;
    for (size_t i = 0; i < kInputs; ++i)
      if (mask >> i & 1) *inputs_of(r, s0)[i] = present[next++];
    return r;
  }
};

}  // namespace

std::pair<Tensor, Tensor> chunked_recurrence(const Recurrence<Tensor>& given, const Tensor& s0, int64_t chunk) {
  Recurrence<Tensor> r = given;
  Tensor start = s0;
  const auto type = r.q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  if (r.g.defined() && r.g.dim() == 1) r.g = r.g.to(r.q.device()).expand({r.q.size(0), r.q.size(1), r.q.size(2)});
  std::vector<Tensor> present;
  int64_t mask = 0;
  bool learns = false;
  for (size_t i = 0; i < kInputs; ++i) {
    Tensor& t = *inputs_of(r, start)[i];
    if (!t.defined()) continue;
    t = t.to(type);
    present.push_back(t);
    mask |= int64_t{1} << i;
    learns = learns || t.requires_grad();
  }
  const int64_t c = chunk > 0 ? std::min(chunk, r.q.size(1)) : choose_chunk(r.g, r.q.size(1));
  if (learns && at::GradMode::is_enabled()) {
    const auto out = RecurrenceFunction::apply(at::TensorList(present), mask, double{r.scale}, c);
    return {out[0], out[1]};
  }
  const Result out = forward(r, start, c, false);
  return {out.o, out.last};
}

}  // namespace jet
