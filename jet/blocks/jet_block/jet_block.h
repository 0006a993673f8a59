// JetBlock (Jet-Nemotron, arXiv 2508.15884 section 2.3; NVlabs/Jet-Nemotron jet_block.py): Gated DeltaNet without the
// convolutions of q and k, and with one on v whose kernel is made from the block's input, token by token.
//
//   q, k = silu(Wq x), silu(Wk x), of unit length
//   kernel_t = W2 silu(W1 x_t) + b2                                [heads * dV, conv]
//   v_t = silu(sum_j kernel_t[:, j] (Wv x)_(t-conv+1+j))
//   beta = sigmoid(Wb x),  g = -exp(A_log) softplus(Wa x + dt_bias)
//   S_t = exp(g_t) (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo (norm(o) * silu(Wg x))
#pragma once

#include <optional>

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/gated_delta_net/gated_delta_net.h"
#include "jet/blocks/parts.h"

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
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_size("conv", conv, where);
      check_size("generator", generator, where);
      check_eps(norm_eps, where);
    }
    static Config like(const Attention::Config&, const MixerDims& d) {
      const int64_t generator = std::max<int64_t>(1, int64_t{d.heads} * d.dv / 8);
      return {.heads = d.heads, .dk = d.dk, .dv = d.dv, .generator = static_cast<int>(generator)};
    }
    static std::vector<Config> examples() { return {{.heads = 3, .dk = 6, .dv = 10, .conv = 4, .generator = 7}}; }
    QkvChannels channels() const { return {int64_t{heads} * dk, int64_t{heads} * dk, int64_t{heads} * dv}; }
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
    const QkvChannels n = c.channels();
    qkv_params(n, hidden, w, visit);
    visit("b_proj.weight", w.b_proj, ParamSpec::gate(c.heads, hidden));
    visit("a_proj.weight", w.a_proj, ParamSpec::gate(c.heads, hidden));
    decay_params(c.heads, c.heads, w, visit);
    generator_params(n.v, c.conv, c.generator, hidden, w, visit);
    visit("g_proj.weight", w.g_proj, ParamSpec::matrix(n.v, hidden));
    visit("o_norm.weight", w.norm, ParamSpec::norm(c.dv));
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, n.v));
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    visit("conv", s.tail, StateSpec{StateSpec::fixed, {c.conv, c.channels().v}});
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.heads, c.heads, c.heads, c.dk, c.dv);
  }

  /// Of a Gated DeltaNet that convolves v alone: W2 = 0, b2 its kernels.
  static std::optional<std::vector<TakenOver>> takes_over(const Config& c, const GatedDeltaNet::Config& o) {
    if (!o.same_recurrence(c) || !o.gate || o.qk_conv || o.conv_bias) return {};
    return {{{"dynamic_conv1d.kernel_generator.w2.weight", "", 1, 0},
             {"dynamic_conv1d.kernel_generator.w2.bias", "v_conv1d.weight"}}};
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto act = [](auto t) { return silu(t); };
    auto q = ops.map(act, ops.linear(x, w.q_proj));
    auto k = ops.map(act, ops.linear(x, w.k_proj));
    auto kernels = generated_kernels(ops, w, x);
    auto v = ops.map(act, ops.dynamic_conv(ops.linear(x, w.v_proj), kernels, s.tail));
    const Recurrence<TensorOf<Ops>> r{.q = unit_heads(ops, q, c.heads),
                                      .k = unit_heads(ops, k, c.heads),
                                      .v = ops.heads(v, c.heads),
                                      .g = head_decay(ops, w, x),
                                      .beta = ops.map([](auto t) { return sigmoid(t); }, ops.linear(x, w.b_proj)),
                                      .scale = head_scale(c.dk)};
    auto gate = ops.heads(ops.linear(x, w.g_proj), c.heads);
    auto o = gated_rms_norm(ops, ops.recurrence(r, s.recurrent), gate, w.norm, c.norm_eps);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
