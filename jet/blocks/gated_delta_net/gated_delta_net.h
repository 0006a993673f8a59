// Gated DeltaNet (Yang et al. 2025, arXiv 2412.06464; fla layers/gated_deltanet.py):
//
//   q, k, v = silu(conv(Wq x)), silu(conv(Wk x)), silu(conv(Wv x)),  q and k of unit length
//   beta = sigmoid(Wb x),  g = -exp(A_log) softplus(Wa x + dt_bias)
//   S_t = exp(g_t) (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo (norm(o) * silu(Wg x)), without gate: Wo norm(o)
//
// v may have more heads than q and k, which are then repeated. Negative eigenvalues: beta in (0, 2). qk_conv false: q
// and k without convolution; generator > 0: the kernel of v's convolution is made from x, token by token,
// W2 silu(W1 x) + b2. Both together are JetBlock (jet/blocks/jet_block).
#pragma once

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/parts.h"

namespace jet {

struct GatedDeltaNet {
  static constexpr const char* kind = "gated_delta_net";

  struct Config {
    int heads = 0, v_heads = 0, dk = 0, dv = 0;
    int conv = 4;
    bool negative_eigenvalues = false, qk_conv = true, gate = true;
    bool conv_bias = false;  // not of a kernel that is made from x
    int generator = 0;       // hidden size of the kernel generator; 0: one kernel for all tokens
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("v_heads", c.v_heads), v("dk", c.dk), v("dv", c.dv), v("conv", c.conv);
      v("negative_eigenvalues", c.negative_eigenvalues), v("qk_conv", c.qk_conv), v("generator", c.generator);
      v("gate", c.gate), v("norm_eps", c.norm_eps), v("conv_bias", c.conv_bias);
    }
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_size("v_heads", v_heads, where);
      check_multiple("v_heads", v_heads, "heads", heads, where);
      check_size("conv", conv, where);
      check_optional("generator", generator, where);
      check_eps(norm_eps, where);
    }
    static Config like(const Attention::Config&, const MixerDims& d) {
      return {.heads = d.heads, .v_heads = d.heads, .dk = d.dk, .dv = d.dv};
    }
    static std::vector<Config> examples() {
      return {{.heads = 3, .v_heads = 6, .dk = 6, .dv = 10, .negative_eigenvalues = true},
              {.heads = 3, .v_heads = 3, .dk = 6, .dv = 10, .qk_conv = false, .generator = 7},
              {.heads = 3, .v_heads = 3, .dk = 6, .dv = 10, .gate = false, .conv_bias = true}};
    }
    QkvChannels channels() const { return {int64_t{heads} * dk, int64_t{heads} * dk, int64_t{v_heads} * dv}; }
    /// Whether its recurrence is that of another block with these sizes, for which it is taken over: no kernel
    /// generator and beta in (0, 1).
    template <class C>
    bool same_recurrence(const C& c) const {
      return heads == c.heads && v_heads == c.heads && dk == c.dk && dv == c.dv && conv == c.conv &&
             norm_eps == c.norm_eps && generator == 0 && !negative_eigenvalues;
    }
    /// Those with a convolution.
    QkvChannels convolved_channels() const {
      const QkvChannels n = channels();
      return qk_conv ? n : QkvChannels{0, 0, n.v};
    }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, a_proj, b_proj, A_log, dt_bias, q_conv, k_conv, v_conv;
    T q_conv_bias, k_conv_bias, v_conv_bias, w1, w2, b2, g_proj, norm, o_proj;
  };

  template <class T>
  struct State {
    T q_tail, k_tail, v_tail;
    T recurrent;  // [v_heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const QkvChannels n = c.channels();
    qkv_params(n, hidden, w, visit);
    visit("a_proj.weight", w.a_proj, ParamSpec::gate(c.v_heads, hidden));
    visit("b_proj.weight", w.b_proj, ParamSpec::gate(c.v_heads, hidden));
    decay_params(c.v_heads, c.v_heads, w, visit);
    QkvChannels fixed_kernels = c.convolved_channels();
    if (c.generator > 0) fixed_kernels.v = 0;
    conv_params(fixed_kernels, c, w, visit);
    if (c.generator > 0) generator_params(n.v, c.conv, c.generator, hidden, w, visit);
    if (c.gate) visit("g_proj.weight", w.g_proj, ParamSpec::matrix(n.v, hidden));
    visit("o_norm.weight", w.norm, ParamSpec::norm(c.dv));
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, n.v));
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    conv_states(c.convolved_channels(), c.conv, s, visit);
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.v_heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.heads, c.v_heads, c.v_heads, c.dk, c.dv);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto act = [](auto t) { return silu(t); };
    auto [q, k, v] = projected_qkv(ops, x, w);
    if (c.qk_conv) {
      q = ops.short_conv(q, w.q_conv, w.q_conv_bias, s.q_tail);
      k = ops.short_conv(k, w.k_conv, w.k_conv_bias, s.k_tail);
    }
    v = c.generator > 0 ? ops.dynamic_conv(v, generated_kernels(ops, w, x), s.v_tail)
                        : ops.short_conv(v, w.v_conv, w.v_conv_bias, s.v_tail);
    q = ops.map(act, q), k = ops.map(act, k), v = ops.map(act, v);
    const float top = c.negative_eigenvalues ? 2 : 1;
    const int group = c.v_heads / c.heads;
    const Recurrence<TensorOf<Ops>> r{
        .q = ops.repeat_heads(unit_heads(ops, q, c.heads), group),
        .k = ops.repeat_heads(unit_heads(ops, k, c.heads), group),
        .v = ops.heads(v, c.v_heads),
        .g = head_decay(ops, w, x),
        .beta = ops.map([top](auto t) { return top * sigmoid(t); }, ops.linear(x, w.b_proj)),
        .scale = head_scale(c.dk)};
    auto o = read_out(ops, c, w, ops.recurrence(r, s.recurrent), x, c.v_heads);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
