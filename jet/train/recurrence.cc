// Chunked (matrix) form of   S_t = D_t S_(t-1) + b_t (a_t^T S_(t-1)) + k_t v_t^T,  o_t = scale S_t^T q_t,  D_t =
// diag(exp g_t).
//
// Within a chunk that starts from S_0, with G_t = sum_(s<=t) g_s and u_t = S_(t-1)^T a_t:
//   U = (I - A_ab)^-1 (A_ak V + (a e^(G - g)) S_0),      A_ab[t, s] = a_t . b_s e^(G_t - g_t - G_s),  s < t
//   O = scale ((q e^G) S_0 + A_qb U + A_qk V),           A_qk[t, s] = q_t . k_s e^(G_t - G_s),        s <= t
//   S_C = e^(G_C) S_0 + (b e^(G_C - G))^T U + (k e^(G_C - G))^T V
// The delta rule is the case b = beta k, a = -k e^g, k <- beta k; then U and V meet the same matrix and are summed.
//
// A decay per head enters the products as a [C, C] matrix of differences, which cannot overflow. A decay per channel is
// split as e^(G_t - m) e^(m - G_s) around the chunk's middle m, so the chunk is made short enough for both factors.
// Everything but the walk over S_0 is done for all chunks at once.
#include <cmath>
#include <utility>

#include "jet/train/torch_ops.h"

namespace jet {

using at::Tensor;

namespace {

constexpr double kMaxExponent = 60;  // e^60 * e^60 stays inside fp32's e^88 for the sums of a chunk of products

// [B, T, H, D] -> [B, H, N, C, D], zero-padded at the end; zeros change no state (k = b = a = 0, g = 0).
Tensor to_chunks(const Tensor& x, int64_t c) {
  const int64_t t = x.size(1), pad = (c - t % c) % c;
  Tensor y = x.to(at::kFloat).transpose(1, 2);
  if (pad > 0) y = at::constant_pad_nd(y, {0, 0, 0, pad});
  return y.unflatten(2, {(t + pad) / c, c});
}

int64_t choose_chunk(const Tensor& g) {
  if (!g.defined() || g.dim() < 4) return 64;
  const double steepest = -g.detach().min().item<double>();
  for (int64_t c : {64, 16, 4}) {
    if (steepest * static_cast<double>(c) / 2 <= kMaxExponent) return c;
  }
  return 1;
}

// The decays of one call: how a product of two rows of a chunk, and a row alone, are weighted.
struct Decay {
  bool per_channel = false;
  Tensor G;     // [B, H, N, C, K or 1], inclusive sums; undefined: no decay
  Tensor mid;   // [B, H, N, 1, K]
  Tensor last;  // [B, H, N, 1, K or 1]

  // x_t . y_s e^(Gx_t - G_s) for s <= t (lower = 0) or s < t (lower = -1), zero elsewhere
  Tensor scores(const Tensor& x, const Tensor& Gx, const Tensor& y, int64_t lower) const {
    if (!G.defined()) return at::matmul(x, y.transpose(-1, -2)).tril(lower);
    if (per_channel) { return at::matmul(x * (Gx - mid).exp(), (y * (mid - G).exp()).transpose(-1, -2)).tril(lower); }
    const Tensor difference = Gx - G.transpose(-1, -2);  // [B, H, N, C, C]
    const Tensor keep = at::ones({x.size(-2), x.size(-2)}, x.options().dtype(at::kBool)).tril(lower);
    const Tensor factor = difference.masked_fill(keep.logical_not(), -INFINITY).exp();
    return at::matmul(x, y.transpose(-1, -2)) * factor;
  }
  Tensor from_start(const Tensor& x, const Tensor& Gx) const { return G.defined() ? x * Gx.exp() : x; }
  Tensor to_end(const Tensor& x) const { return G.defined() ? x * (last - G).exp() : x; }
};

Decay make_decay(const Recurrence<Tensor>& r, int64_t c) {
  Decay d;
  if (!r.g.defined()) return d;
  Tensor g = r.g;
  d.per_channel = g.dim() == 4;
  if (g.dim() == 1) g = g.to(r.q.device()).expand({r.q.size(0), r.q.size(1), g.size(0)});
  if (!d.per_channel) g = g.unsqueeze(-1);
  d.G = to_chunks(g, c).cumsum(-2);
  d.mid = d.G.narrow(-2, (c - 1) / 2, 1).detach();
  d.last = d.G.narrow(-2, c - 1, 1);
  return d;
}

}  // namespace

std::pair<Tensor, Tensor> chunked_recurrence(const Recurrence<Tensor>& r, const Tensor& s0, int64_t chunk) {
  const int64_t tokens = r.q.size(1), c = chunk > 0 ? chunk : choose_chunk(r.g);
  const Decay d = make_decay(r, c);
  const Tensor q = to_chunks(r.q, c) * r.scale, v = to_chunks(r.v, c);
  const bool delta = r.beta.defined(), erases = delta || r.a.defined();
  Tensor k = to_chunks(r.k, c), a, b, Ga;
  if (delta) {
    a = -k;
    Ga = d.G;
    k = b = k * to_chunks(r.beta.unsqueeze(-1), c);
  } else if (erases) {
    a = to_chunks(r.a, c);
    b = to_chunks(r.b, c);
    Ga = d.G.defined() ? d.G - to_chunks(r.g.dim() == 4 ? r.g : r.g.unsqueeze(-1), c) : Tensor{};
  }

  const Tensor A_qk = d.scores(q, d.G, k, 0);
  const Tensor q_start = d.from_start(q, d.G), k_end = d.to_end(k).transpose(-1, -2);
  Tensor own, from_state, A_qb, b_end;  // U = own + from_state S_0
  if (erases) {
    const Tensor A_ab = d.scores(a, Ga, b, -1);
    const Tensor A_ak = delta ? A_ab : d.scores(a, Ga, k, -1);
    const Tensor eye = at::eye(c, q.options());
    const Tensor right = at::cat({at::matmul(A_ak, v), d.from_start(a, Ga)}, -1);
    const Tensor solved = at::linalg_solve_triangular(eye - A_ab, right, /*upper=*/false, true, /*unitriangular=*/true);
    own = solved.narrow(-1, 0, v.size(-1));
    from_state = solved.narrow(-1, v.size(-1), k.size(-1));
    A_qb = delta ? A_qk : d.scores(q, d.G, b, 0);
    b_end = delta ? k_end : d.to_end(b).transpose(-1, -2);
  }
  // Parts that do not depend on S_0, for all chunks at once.
  Tensor o = at::matmul(A_qk, delta ? v + own : v);
  Tensor grow = at::matmul(k_end, delta ? v + own : v);
  Tensor q_eff = q_start, carry;  // o += q_eff S_0;  S_C = e^(G_C) S_0 + carry S_0 + grow
  if (erases) {
    if (!delta) {
      o = o + at::matmul(A_qb, own);
      grow = grow + at::matmul(b_end, own);
    }
    q_eff = q_start + at::matmul(A_qb, from_state);
    carry = at::matmul(b_end, from_state);
  }
  const Tensor end = d.G.defined() ? d.last.exp().transpose(-1, -2) : Tensor{};  // [B, H, N, K or 1, 1]

  Tensor s = s0.defined() ? s0.to(at::kFloat) : at::zeros({q.size(0), q.size(1), q.size(-1), v.size(-1)}, q.options());
  std::vector<Tensor> starts;
  for (int64_t n = 0; n < q.size(2); ++n) {
    starts.push_back(s);
    Tensor next = end.defined() ? s * end.select(2, n) : s;
    if (carry.defined()) next = next + at::matmul(carry.select(2, n), s);
    s = next + grow.select(2, n);
  }
  o = o + at::matmul(q_eff, at::stack(starts, 2));
  return {o.flatten(2, 3).narrow(2, 0, tokens).transpose(1, 2), s};
}

}  // namespace jet
