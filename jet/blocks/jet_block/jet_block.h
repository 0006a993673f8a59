// JetBlock (Jet-Nemotron, arXiv 2508.15884 section 2.3; NVlabs/Jet-Nemotron jet_block.py): Gated DeltaNet without the
// convolutions of q and k, and with one on v whose kernel is made from the block's input, token by token:
//   q, k = silu(Wq x), silu(Wk x), of unit length;   kernel_t = W2 silu(W1 x_t) + b2   [dV * heads, conv]
//   v_t = silu(sum_j kernel_t[:, j] (Wv x)_(t-conv+1+j)),   beta = sigmoid(Wb x),  g = -exp(A_log) softplus(Wa x +
//   dt_bias) S_t = exp(g_t) (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK) y = Wo
//   (norm(o) * silu(Wg x))
#pragma once

#include <cmath>

#include "jet/blocks/math.h"
#include "jet/blocks/op_set.h"

namespace jet {

struct JetBlock {
  static constexpr const char* kind = "jet";

  struct Config {
    int heads = 0, dk = 0, dv = 0;
    int conv = 4, generator = 0;  // generator: hidden size of the kernel generator; heads * dv / 8 in the released code
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("dk", c.dk), v("dv", c.dv), v("conv", c.conv), v("generator", c.generator);
      v("norm_eps", c.norm_eps);
    }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, b_proj, a_proj, A_log, dt_bias, w1, w2, b2, g_proj, norm, o_proj;
  };

  template <class T>
  struct State {
    T tail;       // [conv, heads * dv], raw v, oldest first
    T recurrent;  // [heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const int64_t k = int64_t{c.heads} * c.dk, v = int64_t{c.heads} * c.dv;
    visit("q_proj.weight", w.q_proj, ParamSpec{{k, hidden}});
    visit("k_proj.weight", w.k_proj, ParamSpec{{k, hidden}});
    visit("v_proj.weight", w.v_proj, ParamSpec{{v, hidden}});
    visit("b_proj.weight", w.b_proj, ParamSpec{{c.heads, hidden}});
    visit("a_proj.weight", w.a_proj, ParamSpec{{c.heads, hidden}});
    visit("A_log", w.A_log, ParamSpec{{c.heads}, {Init::decay_log, 0, 16}});
    visit("dt_bias", w.dt_bias, ParamSpec{{c.heads}, {Init::softplus_inverse, 1e-3, 1e-1}});
    // w1 = w2 = 0 would leave both without a gradient; W1 random and W2 zero start as the same static convolution.
    visit("dynamic_conv1d.kernel_generator.w1.weight", w.w1, ParamSpec{{c.generator, hidden}});
    visit("dynamic_conv1d.kernel_generator.w2.weight", w.w2, ParamSpec{{v * c.conv, c.generator}, {Init::constant, 0}});
    visit("dynamic_conv1d.kernel_generator.w2.bias", w.b2, ParamSpec{{v * c.conv}, {Init::last_tap, 1.0 * c.conv}});
    visit("g_proj.weight", w.g_proj, ParamSpec{{v, hidden}});
    visit("o_norm.weight", w.norm, ParamSpec{{c.dv}, {Init::constant, 1}});
    visit("o_proj.weight", w.o_proj, ParamSpec{{hidden, v}});
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    visit("conv", s.tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.heads} * c.dv}});
    visit("recurrent", s.recurrent, StateSpec{StateSpec::fixed, {c.heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.heads, c.heads, c.heads, c.dk, c.dv);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto act = [](auto t) { return silu(t); };
    auto q = ops.map(act, ops.linear(x, w.q_proj));
    auto k = ops.map(act, ops.linear(x, w.k_proj));
    auto kernels = ops.linear(ops.map(act, ops.linear(x, w.w1)), w.w2, w.b2);
    auto v = ops.map(act, ops.dynamic_conv(ops.linear(x, w.v_proj), kernels, s.tail));
    Recurrence<TensorOf<Ops>> r{.q = ops.l2_norm(ops.heads(q, c.heads), 1e-6f),
                                .k = ops.l2_norm(ops.heads(k, c.heads), 1e-6f),
                                .v = ops.heads(v, c.heads),
                                .g = ops.map([](auto t, auto a, auto bias) { return -exp(a) * softplus(t + bias); },
                                             ops.linear(x, w.a_proj), w.A_log, w.dt_bias),
                                .beta = ops.map([](auto t) { return sigmoid(t); }, ops.linear(x, w.b_proj))};
    r.scale = 1.0f / std::sqrt(static_cast<float>(c.dk));
    auto o = gated_rms_norm(ops, ops.recurrence(r, s.recurrent), ops.heads(ops.linear(x, w.g_proj), c.heads), w.norm,
                            c.norm_eps);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
