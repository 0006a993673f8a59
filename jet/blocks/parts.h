// What blocks share before and after their recurrence; which parts a block takes is on its own page.
//
//   projections      q, k, v = Wq x, Wk x, Wv x
//   convolution      u_t <- sum_j w[:, j] u_(t-W+1+j) (+ bias), j in [0, W): causal, one kernel a channel
//   generated        the same with a kernel made from x, token by token: w_t = W2 silu(W1 x_t) + b2
//   decay            g = -exp(A_log) softplus(Wa x + dt_bias), one number a head
//   read-out         norm(o) * silu(Wg x), without gate: norm(o)
//
// A convolution's state is its tail: the last W inputs [W, channels], oldest first.
// Weights and states are a block's own; they are found by the names of its members: w.q_proj, w.q_conv, s.q_tail, ...
#pragma once

#include <cmath>

#include "jet/blocks/block.h"
#include "jet/blocks/math.h"

namespace jet {

/// visit(name, ...) of a part that is a block itself: its names begin with `prefix`.
template <class Visit>
auto under(const char* prefix, Visit& visit) {
  return [prefix, &visit](const char* name, auto& t, const auto& spec) {
    visit((std::string(prefix) + name).c_str(), t, spec);
  };
}

/// Numbers a token.
struct QkvChannels {
  int64_t q = 0, k = 0, v = 0;
};

template <class W, class Visit>
void qkv_params(const QkvChannels& n, int hidden, W& w, Visit& visit) {
  visit("q_proj.weight", w.q_proj, ParamSpec::matrix(n.q, hidden));
  visit("k_proj.weight", w.k_proj, ParamSpec::matrix(n.k, hidden));
  visit("v_proj.weight", w.v_proj, ParamSpec::matrix(n.v, hidden));
}

inline ParamSpec conv_param(int64_t channels, int width) {
  return ParamSpec::vector({channels, 1, width}, {Init::last_tap, 1.0 * width});
}

/// The convolutions of those that have channels here, c.conv wide, with biases where c.conv_bias says so.
template <class Config, class W, class Visit>
void conv_params(const QkvChannels& n, const Config& c, W& w, Visit& visit) {
  if (n.q > 0) visit("q_conv1d.weight", w.q_conv, conv_param(n.q, c.conv));
  if (n.k > 0) visit("k_conv1d.weight", w.k_conv, conv_param(n.k, c.conv));
  if (n.v > 0) visit("v_conv1d.weight", w.v_conv, conv_param(n.v, c.conv));
  if (!c.conv_bias) return;
  if (n.q > 0) visit("q_conv1d.bias", w.q_conv_bias, ParamSpec::constant(n.q, 0));
  if (n.k > 0) visit("k_conv1d.bias", w.k_conv_bias, ParamSpec::constant(n.k, 0));
  if (n.v > 0) visit("v_conv1d.bias", w.v_conv_bias, ParamSpec::constant(n.v, 0));
}

/// Their tails.
template <class S, class Visit>
void conv_states(const QkvChannels& n, int width, S& s, Visit& visit) {
  if (n.q > 0) visit("conv_q", s.q_tail, StateSpec{StateSpec::fixed, {width, n.q}});
  if (n.k > 0) visit("conv_k", s.k_tail, StateSpec{StateSpec::fixed, {width, n.k}});
  if (n.v > 0) visit("conv_v", s.v_tail, StateSpec{StateSpec::fixed, {width, n.v}});
}

template <class Ops>
struct Qkv {
  TensorOf<Ops> q, k, v;
};

template <class Ops, class W>
Qkv<Ops> projected_qkv(Ops& ops, const TensorOf<Ops>& x, const W& w) {
  auto q = ops.linear(x, w.q_proj), k = ops.linear(x, w.k_proj);
  return {q, k, ops.linear(x, w.v_proj)};
}

/// silu(conv(Wq x)), silu(conv(Wk x)), silu(conv(Wv x)).
template <class Ops, class W, class S>
Qkv<Ops> convolved_qkv(Ops& ops, const TensorOf<Ops>& x, const W& w, S& s) {
  const auto each = [&](const auto& projection, const auto& kernel, const auto& bias, auto& tail) {
    return ops.map([](auto t) { return silu(t); }, ops.short_conv(ops.linear(x, projection), kernel, bias, tail));
  };
  auto q = each(w.q_proj, w.q_conv, w.q_conv_bias, s.q_tail), k = each(w.k_proj, w.k_conv, w.k_conv_bias, s.k_tail);
  return {q, k, each(w.v_proj, w.v_conv, w.v_conv_bias, s.v_tail)};
}

/// The generator of v's kernels, of `rank` hidden numbers. W1 = W2 = 0 would leave both without a gradient; W1 random
/// and W2 zero start as the same static convolution.
template <class W, class Visit>
void generator_params(int64_t channels, int width, int rank, int hidden, W& w, Visit& visit) {
  visit("dynamic_conv1d.kernel_generator.w1.weight", w.w1, ParamSpec::matrix(rank, hidden));
  visit("dynamic_conv1d.kernel_generator.w2.weight", w.w2,
        ParamSpec::matrix(channels * width, rank, {Init::constant, 0}));
  visit("dynamic_conv1d.kernel_generator.w2.bias", w.b2,
        ParamSpec::vector({channels * width}, {Init::last_tap, 1.0 * width}));
}

template <class Ops, class W>
TensorOf<Ops> generated_kernels(Ops& ops, const W& w, const TensorOf<Ops>& x) {
  return ops.linear(ops.map([](auto t) { return silu(t); }, ops.linear(x, w.w1)), w.w2, w.b2);
}

/// A_log and dt_bias of `heads` decays that start slow.
template <class W, class Visit>
void decay_params(int heads, int64_t biases, W& w, Visit& visit) {
  visit("A_log", w.A_log, ParamSpec::vector({heads}, {Init::decay_log, 0, 16}));
  visit("dt_bias", w.dt_bias, ParamSpec::vector({biases}, {Init::softplus_inverse, 1e-3, 1e-1}));
}

template <class Ops, class W>
TensorOf<Ops> head_decay(Ops& ops, const W& w, const TensorOf<Ops>& x) {
  return ops.map([](auto t, auto a, auto bias) { return -exp(a) * softplus(t + bias); }, ops.linear(x, w.a_proj),
                 w.A_log, w.dt_bias);
}

/// x as heads of unit length.
template <class Ops>
TensorOf<Ops> unit_heads(Ops& ops, const TensorOf<Ops>& x, int heads) {
  return ops.l2_norm(ops.heads(x, heads), 1e-6f);
}

/// dK^-1/2, the scale of o.
inline float head_scale(int dk) { return 1.0f / std::sqrt(static_cast<float>(dk)); }

/// norm(o) * silu(gate); o [tokens, heads, dV].
template <class Ops>
TensorOf<Ops> gated_rms_norm(Ops& ops, const TensorOf<Ops>& o, const TensorOf<Ops>& gate, const typename Ops::Weight& w,
                             float eps) {
  return ops.map([](auto x, auto z) { return x * silu(z); }, ops.rms_norm(o, w, eps), gate);
}
/// The same with gate = Wg x, or norm(o) alone where c.gate is false.
template <class Ops, class Config, class W>
TensorOf<Ops> read_out(Ops& ops, const Config& c, const W& w, const TensorOf<Ops>& o, const TensorOf<Ops>& x,
                       int heads) {
  return c.gate ? gated_rms_norm(ops, o, ops.heads(ops.linear(x, w.g_proj), heads), w.norm, c.norm_eps)
                : ops.rms_norm(o, w.norm, c.norm_eps);
}

}  // namespace jet
