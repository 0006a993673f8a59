// Kimi Delta Attention (Kimi Linear, arXiv 2510.26692; fla layers/kda.py): Gated DeltaNet with a decay per key channel.
//
//   q, k, v = silu(conv(Wq x)), silu(conv(Wk x)), silu(conv(Wv x)),  q and k of unit length
//   beta = sigmoid(Wb x),  g = -exp(A_log) softplus(F2 F1 x + dt_bias)        A_log per head, dt_bias per key channel
//   S_t = (I - beta_t k_t k_t^T) diag(exp g_t) S_(t-1) + beta_t k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo (norm(o) * sigmoid(G2 G1 x + b))
#pragma once

#include <optional>

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/gated_delta_net/gated_delta_net.h"
#include "jet/blocks/parts.h"

namespace jet {

struct Kda {
  static constexpr const char* kind = "kda";

  struct Config {
    int heads = 0, dk = 0, dv = 0;
    int conv = 4;
    bool conv_bias = false;
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("dk", c.dk), v("dv", c.dv), v("conv", c.conv), v("norm_eps", c.norm_eps);
      v("conv_bias", c.conv_bias);
    }
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_size("conv", conv, where);
      check_eps(norm_eps, where);
    }
    static Config like(const Attention::Config&, const MixerDims& d) {
      return {.heads = d.heads, .dk = d.dk, .dv = d.dv};
    }
    static std::vector<Config> examples() { return {{.heads = 3, .dk = 6, .dv = 10, .conv = 3}}; }
    QkvChannels channels() const { return {int64_t{heads} * dk, int64_t{heads} * dk, int64_t{heads} * dv}; }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, b_proj, f_0, f_1, A_log, dt_bias, q_conv, k_conv, v_conv;
    T q_conv_bias, k_conv_bias, v_conv_bias, g_0, g_1, g_bias, norm, o_proj;
  };

  template <class T>
  struct State {
    T q_tail, k_tail, v_tail;
    T recurrent;  // [heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const QkvChannels n = c.channels();
    qkv_params(n, hidden, w, visit);
    visit("b_proj.weight", w.b_proj, ParamSpec::gate(c.heads, hidden));
    visit("f_proj.0.weight", w.f_0, ParamSpec::gate(c.dv, hidden));
    visit("f_proj.1.weight", w.f_1, ParamSpec::gate(n.k, c.dv));
    decay_params(c.heads, n.k, w, visit);
    conv_params(n, c, w, visit);
    visit("g_proj.0.weight", w.g_0, ParamSpec::matrix(c.dv, hidden));
    visit("g_proj.1.weight", w.g_1, ParamSpec::matrix(n.v, c.dv));
    visit("g_proj.1.bias", w.g_bias, ParamSpec::constant(n.v, 0));
    visit("o_norm.weight", w.norm, ParamSpec::norm(c.dv));
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, n.v));
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    conv_states(c.channels(), c.conv, s, visit);
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.heads, c.heads, c.heads, c.dk, c.dv);
  }

  /// Of a Gated DeltaNet without output gate, whose one decay a head becomes that of all channels: F1 = Wa, F2 says
  /// whose channel is whose, G2 = 0 and so sigmoid(0) = 1/2, which the norm makes up for. A gate silu(Wg x) is no
  /// sigmoid of low rank.
  static std::optional<std::vector<TakenOver>> takes_over(const Config& c, const GatedDeltaNet::Config& o) {
    const bool convolved = o.qk_conv && o.conv_bias == c.conv_bias;
    if (!o.same_recurrence(c) || !convolved || o.gate || c.heads > c.dv) return {};
    return {{{"f_proj.0.weight", "a_proj.weight"},
             {"f_proj.1.weight", "", c.dk},
             {"dt_bias", "dt_bias", c.dk},
             {"g_proj.1.weight", "", 1, 0},
             {"g_proj.1.bias", "", 1, 0},
             {"o_norm.weight", "o_norm.weight", 1, 2}}};
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto [q, k, v] = convolved_qkv(ops, x, w, s);
    auto dt = ops.map([](auto t, auto bias) { return softplus(t + bias); }, ops.linear(ops.linear(x, w.f_0), w.f_1),
                      w.dt_bias);
    const Recurrence<TensorOf<Ops>> r{
        .q = unit_heads(ops, q, c.heads),
        .k = unit_heads(ops, k, c.heads),
        .v = ops.heads(v, c.heads),
        .g = ops.map([](auto t, auto a) { return -exp(a) * t; }, ops.heads(dt, c.heads), ops.heads(w.A_log, c.heads)),
        .beta = ops.map([](auto t) { return sigmoid(t); }, ops.linear(x, w.b_proj)),
        .scale = head_scale(c.dk)};
    auto o = ops.rms_norm(ops.recurrence(r, s.recurrent), w.norm, c.norm_eps);
    auto gate = ops.heads(ops.linear(ops.linear(x, w.g_0), w.g_1, w.g_bias), c.heads);
    o = ops.map([](auto t, auto z) { return t * sigmoid(z); }, o, gate);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
