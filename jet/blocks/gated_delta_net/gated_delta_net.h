// Gated DeltaNet (Yang et al. 2025, arXiv 2412.06464; fla layers/gated_deltanet.py):
//   q, k, v = silu(conv(Wq x)), silu(conv(Wk x)), silu(conv(Wv x)),  q and k of unit length
//   beta = sigmoid(Wb x),  g = -exp(A_log) softplus(Wa x + dt_bias)
//   S_t = exp(g_t) (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo (norm(o) * silu(Wg x)), without gate: Wo norm(o).   v may have more heads than q and k, then repeated.
// qk_conv false: q and k without convolution; generator > 0: the kernel of v's convolution is made from x, token by
// token, W2 silu(W1 x) + b2. Both together are JetBlock (jet/blocks/jet_block).
#pragma once

#include <cmath>

#include "jet/blocks/math.h"
#include "jet/blocks/op_set.h"

namespace jet {

struct GatedDeltaNet {
  static constexpr const char* kind = "gated_delta_net";

  struct Config {
    int heads = 0, v_heads = 0, dk = 0, dv = 0;
    int conv = 4;
    bool negative_eigenvalues = false, qk_conv = true, gate = true;
    int generator = 0;  // hidden size of the kernel generator; 0: one kernel for all tokens
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("v_heads", c.v_heads), v("dk", c.dk), v("dv", c.dv), v("conv", c.conv);
      v("negative_eigenvalues", c.negative_eigenvalues), v("qk_conv", c.qk_conv), v("generator", c.generator);
      v("gate", c.gate), v("norm_eps", c.norm_eps);
    }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, a_proj, b_proj, A_log, dt_bias, q_conv, k_conv, v_conv, w1, w2, b2, g_proj, norm, o_proj;
  };

  template <class T>
  struct State {
    T q_tail, k_tail, v_tail;  // [conv, channels], raw inputs, oldest first
    T recurrent;               // [v_heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const int64_t k = int64_t{c.heads} * c.dk, v = int64_t{c.v_heads} * c.dv;
    visit("q_proj.weight", w.q_proj, ParamSpec{{k, hidden}});
    visit("k_proj.weight", w.k_proj, ParamSpec{{k, hidden}});
    visit("v_proj.weight", w.v_proj, ParamSpec{{v, hidden}});
    visit("a_proj.weight", w.a_proj, ParamSpec{{c.v_heads, hidden}});
    visit("b_proj.weight", w.b_proj, ParamSpec{{c.v_heads, hidden}});
    visit("A_log", w.A_log, ParamSpec{{c.v_heads}, {Init::decay_log, 0, 16}});
    visit("dt_bias", w.dt_bias, ParamSpec{{c.v_heads}, {Init::softplus_inverse, 1e-3, 1e-1}});
    const Init last_tap{Init::last_tap, 1.0 * c.conv};
    if (c.qk_conv) {
      visit("q_conv1d.weight", w.q_conv, ParamSpec{{k, 1, c.conv}, last_tap});
      visit("k_conv1d.weight", w.k_conv, ParamSpec{{k, 1, c.conv}, last_tap});
    }
    if (c.generator > 0) {
      visit("dynamic_conv1d.kernel_generator.w1.weight", w.w1, ParamSpec{{c.generator, hidden}});
      visit("dynamic_conv1d.kernel_generator.w2.weight", w.w2,
            ParamSpec{{v * c.conv, c.generator}, {Init::constant, 0}});
      visit("dynamic_conv1d.kernel_generator.w2.bias", w.b2, ParamSpec{{v * c.conv}, last_tap});
    } else {
      visit("v_conv1d.weight", w.v_conv, ParamSpec{{v, 1, c.conv}, last_tap});
    }
    if (c.gate) visit("g_proj.weight", w.g_proj, ParamSpec{{v, hidden}});
    visit("o_norm.weight", w.norm, ParamSpec{{c.dv}, {Init::constant, 1}});
    visit("o_proj.weight", w.o_proj, ParamSpec{{hidden, v}});
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    if (c.qk_conv) {
      visit("conv_q", s.q_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.heads} * c.dk}});
      visit("conv_k", s.k_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.heads} * c.dk}});
    }
    visit("conv_v", s.v_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.v_heads} * c.dv}});
    visit("recurrent", s.recurrent, StateSpec{StateSpec::fixed, {c.v_heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.heads, c.v_heads, c.v_heads, c.dk, c.dv);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto act = [](auto t) { return silu(t); };
    auto q = ops.linear(x, w.q_proj), k = ops.linear(x, w.k_proj), v = ops.linear(x, w.v_proj);
    if (c.qk_conv) {
      q = ops.short_conv(q, w.q_conv, {}, s.q_tail);
      k = ops.short_conv(k, w.k_conv, {}, s.k_tail);
    }
    if (c.generator > 0) {
      v = ops.dynamic_conv(v, ops.linear(ops.map(act, ops.linear(x, w.w1)), w.w2, w.b2), s.v_tail);
    } else {
      v = ops.short_conv(v, w.v_conv, {}, s.v_tail);
    }
    q = ops.map(act, q), k = ops.map(act, k), v = ops.map(act, v);
    const float top = c.negative_eigenvalues ? 2 : 1;
    const int group = c.v_heads / c.heads;
    Recurrence<TensorOf<Ops>> r{.q = ops.repeat_heads(ops.l2_norm(ops.heads(q, c.heads), 1e-6f), group),
                                .k = ops.repeat_heads(ops.l2_norm(ops.heads(k, c.heads), 1e-6f), group),
                                .v = ops.heads(v, c.v_heads),
                                .g = ops.map([](auto t, auto a, auto bias) { return -exp(a) * softplus(t + bias); },
                                             ops.linear(x, w.a_proj), w.A_log, w.dt_bias),
                                .beta = ops.map([top](auto t) { return top * sigmoid(t); }, ops.linear(x, w.b_proj))};
    r.scale = 1.0f / std::sqrt(static_cast<float>(c.dk));
    auto o = read_out(ops, c, w, ops.recurrence(r, s.recurrent), x, c.v_heads);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
