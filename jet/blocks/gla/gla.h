// Gated linear attention (Yang et al. 2024; fla layers/gla.py):
//
//   q, k, v = Wq x, Wk x, Wv x           (each through a short convolution and SiLU where conv > 0)
//   g = max(log sigmoid(W2 W1 x + b) / 16, clamp_min)      per key channel
//   S_t = diag(exp g_t) S_(t-1) + k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo (norm(o) * silu(Wg x)), without gate: Wo norm(o)
#pragma once

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/parts.h"

namespace jet {

struct Gla {
  static constexpr const char* kind = "gla";

  struct Config {
    int heads = 0, kv_heads = 0, dk = 0, dv = 0;
    int gate_rank = 16, conv = 0;
    bool gate = true, conv_bias = false;
    float clamp_min = 0, norm_eps = 1e-5f;  // clamp_min 0: none
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("kv_heads", c.kv_heads), v("dk", c.dk), v("dv", c.dv), v("gate_rank", c.gate_rank);
      v("conv", c.conv), v("gate", c.gate), v("clamp_min", c.clamp_min), v("norm_eps", c.norm_eps);
      v("conv_bias", c.conv_bias);
    }
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_size("kv_heads", kv_heads, where);
      check_multiple("heads", heads, "kv_heads", kv_heads, where);
      check_optional("conv", conv, where);
      check_size("gate_rank", gate_rank, where);
      check_eps(norm_eps, where);
    }
    static Config like(const Attention::Config&, const MixerDims& d) {
      return {.heads = d.heads, .kv_heads = d.heads, .dk = d.dk, .dv = d.dv};
    }
    static std::vector<Config> examples() {
      return {{.heads = 6,
               .kv_heads = 3,
               .dk = 6,
               .dv = 10,
               .gate_rank = 5,
               .conv = 4,
               .conv_bias = true,
               .clamp_min = -0.2f},
              {.heads = 3, .kv_heads = 3, .dk = 6, .dv = 10, .gate = false},
              {.heads = 2, .kv_heads = 2, .dk = 20, .dv = 33, .gate_rank = 4}};
    }
    QkvChannels channels() const { return {int64_t{heads} * dk, int64_t{kv_heads} * dk, int64_t{kv_heads} * dv}; }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, q_conv, k_conv, v_conv, q_conv_bias, k_conv_bias, v_conv_bias;
    T gk_0, gk_1, gk_bias, g_proj, norm, o_proj;
  };

  template <class T>
  struct State {
    T q_tail, k_tail, v_tail;
    T recurrent;  // [heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const QkvChannels n = c.channels();
    const int64_t out = int64_t{c.heads} * c.dv;
    qkv_params(n, hidden, w, visit);
    if (c.conv > 0) conv_params(n, c, w, visit);
    // The gate starts almost open (a half-life of about 600 tokens): attention forgets nothing.
    visit("gk_proj.0.weight", w.gk_0, ParamSpec::gate(c.gate_rank, hidden));
    visit("gk_proj.1.weight", w.gk_1, ParamSpec::gate(n.k, c.gate_rank));
    visit("gk_proj.1.bias", w.gk_bias, ParamSpec::constant(n.k, 4));
    if (c.gate) visit("g_proj.weight", w.g_proj, ParamSpec::matrix(out, hidden));
    visit("g_norm_swish_gate.weight", w.norm, ParamSpec::norm(c.dv));
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, out));
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    if (c.conv > 0) conv_states(c.channels(), c.conv, s, visit);
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.kv_heads, c.kv_heads, c.heads, c.dk, c.dv);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto [q, k, v] = c.conv > 0 ? convolved_qkv(ops, x, w, s) : projected_qkv(ops, x, w);
    const float low = c.clamp_min < 0 ? c.clamp_min : -1e30f;
    auto g = ops.map([low](auto t) { return clamp_min(log_sigmoid(t) * (1.0f / 16), low); },
                     ops.linear(ops.linear(x, w.gk_0), w.gk_1, w.gk_bias));
    const int group = c.heads / c.kv_heads;
    const Recurrence<TensorOf<Ops>> r{.q = ops.heads(q, c.heads),
                                      .k = ops.repeat_heads(ops.heads(k, c.kv_heads), group),
                                      .v = ops.repeat_heads(ops.heads(v, c.kv_heads), group),
                                      .g = ops.repeat_heads(ops.heads(g, c.kv_heads), group),
                                      .scale = head_scale(c.dk)};
    auto o = read_out(ops, c, w, ops.recurrence(r, s.recurrent), x, c.heads);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
