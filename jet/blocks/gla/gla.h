// Gated linear attention (Yang et al. 2024; fla layers/gla.py):
//   q, k, v = Wq x, Wk x, Wv x           (each through a short convolution and SiLU where conv > 0)
//   g = max(log sigmoid(W2 W1 x + b) / 16, clamp_min)      per key channel
//   S_t = diag(exp g_t) S_(t-1) + k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo (norm(o) * silu(Wg x)), without gate: Wo norm(o)
#pragma once

#include <cmath>

#include "jet/blocks/math.h"
#include "jet/blocks/op_set.h"

namespace jet {

struct Gla {
  static constexpr const char* kind = "gla";

  struct Config {
    int heads = 0, kv_heads = 0, dk = 0, dv = 0;
    int gate_rank = 16, conv = 0;
    bool gate = true;
    float clamp_min = 0, norm_eps = 1e-5f;  // clamp_min 0: none
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("kv_heads", c.kv_heads), v("dk", c.dk), v("dv", c.dv), v("gate_rank", c.gate_rank);
      v("conv", c.conv), v("gate", c.gate), v("clamp_min", c.clamp_min), v("norm_eps", c.norm_eps);
    }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, q_conv, k_conv, v_conv, gk_0, gk_1, gk_bias, g_proj, norm, o_proj;
  };

  template <class T>
  struct State {
    T q_tail, k_tail, v_tail;  // [conv, channels], raw inputs, oldest first
    T recurrent;               // [heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const int64_t q = int64_t{c.heads} * c.dk, v = int64_t{c.heads} * c.dv;
    const int64_t k_kv = int64_t{c.kv_heads} * c.dk, v_kv = int64_t{c.kv_heads} * c.dv;
    visit("q_proj.weight", w.q_proj, ParamSpec{{q, hidden}});
    visit("k_proj.weight", w.k_proj, ParamSpec{{k_kv, hidden}});
    visit("v_proj.weight", w.v_proj, ParamSpec{{v_kv, hidden}});
    if (c.conv > 0) {
      visit("q_conv1d.weight", w.q_conv, ParamSpec{{q, 1, c.conv}, {Init::last_tap, 1.0 * c.conv}});
      visit("k_conv1d.weight", w.k_conv, ParamSpec{{k_kv, 1, c.conv}, {Init::last_tap, 1.0 * c.conv}});
      visit("v_conv1d.weight", w.v_conv, ParamSpec{{v_kv, 1, c.conv}, {Init::last_tap, 1.0 * c.conv}});
    }
    // The gate starts almost open (a half-life of about 600 tokens): attention forgets nothing.
    visit("gk_proj.0.weight", w.gk_0, ParamSpec{{c.gate_rank, hidden}});
    visit("gk_proj.1.weight", w.gk_1, ParamSpec{{k_kv, c.gate_rank}});
    visit("gk_proj.1.bias", w.gk_bias, ParamSpec{{k_kv}, {Init::constant, 4}});
    if (c.gate) visit("g_proj.weight", w.g_proj, ParamSpec{{v, hidden}});
    visit("g_norm_swish_gate.weight", w.norm, ParamSpec{{c.dv}, {Init::constant, 1}});
    visit("o_proj.weight", w.o_proj, ParamSpec{{hidden, v}});
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    if (c.conv > 0) {
      visit("conv_q", s.q_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.heads} * c.dk}});
      visit("conv_k", s.k_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.kv_heads} * c.dk}});
      visit("conv_v", s.v_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.kv_heads} * c.dv}});
    }
    visit("recurrent", s.recurrent, StateSpec{StateSpec::fixed, {c.heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.kv_heads, c.kv_heads, c.heads, c.dk, c.dv);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    auto q = ops.linear(x, w.q_proj), k = ops.linear(x, w.k_proj), v = ops.linear(x, w.v_proj);
    if (c.conv > 0) {
      const auto act = [](auto t) { return silu(t); };
      q = ops.map(act, ops.short_conv(q, w.q_conv, {}, s.q_tail));
      k = ops.map(act, ops.short_conv(k, w.k_conv, {}, s.k_tail));
      v = ops.map(act, ops.short_conv(v, w.v_conv, {}, s.v_tail));
    }
    const float low = c.clamp_min < 0 ? c.clamp_min : -1e30f;
    auto g = ops.map([low](auto t) { return clamp_min(log_sigmoid(t) * (1.0f / 16), low); },
                     ops.linear(ops.linear(x, w.gk_0), w.gk_1, w.gk_bias));
    const int group = c.heads / c.kv_heads;
    Recurrence<TensorOf<Ops>> r{.q = ops.heads(q, c.heads),
                                .k = ops.repeat_heads(ops.heads(k, c.kv_heads), group),
                                .v = ops.repeat_heads(ops.heads(v, c.kv_heads), group),
                                .g = ops.repeat_heads(ops.heads(g, c.kv_heads), group)};
    r.scale = 1.0f / std::sqrt(static_cast<float>(c.dk));
    auto o = read_out(ops, c, w, ops.recurrence(r, s.recurrent), x, c.heads);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
