// DeltaNet (Yang et al. 2024, arXiv 2406.06484; fla layers/delta_net.py):
//   q, k, v = silu(conv(Wq x)), silu(conv(Wk x)), silu(conv(Wv x)),  q and k of unit length,  beta = sigmoid(Wb x)
//   S_t = (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo norm(o), with gate: Wo (norm(o) * silu(Wg x)); negative eigenvalues: beta in (0, 2)
#pragma once

#include <cmath>

#include "jet/blocks/math.h"
#include "jet/blocks/op_set.h"

namespace jet {

struct DeltaNet {
  static constexpr const char* kind = "delta_net";

  struct Config {
    int heads = 0, dk = 0, dv = 0;
    int conv = 4;
    bool gate = false, negative_eigenvalues = false;
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("dk", c.dk), v("dv", c.dv), v("conv", c.conv), v("gate", c.gate);
      v("negative_eigenvalues", c.negative_eigenvalues), v("norm_eps", c.norm_eps);
    }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, b_proj, q_conv, k_conv, v_conv, g_proj, norm, o_proj;
  };

  template <class T>
  struct State {
    T q_tail, k_tail, v_tail;  // [conv, channels], raw inputs, oldest first
    T recurrent;               // [heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const int64_t k = int64_t{c.heads} * c.dk, v = int64_t{c.heads} * c.dv;
    visit("q_proj.weight", w.q_proj, ParamSpec{{k, hidden}});
    visit("k_proj.weight", w.k_proj, ParamSpec{{k, hidden}});
    visit("v_proj.weight", w.v_proj, ParamSpec{{v, hidden}});
    visit("b_proj.weight", w.b_proj, ParamSpec{{c.heads, hidden}});
    visit("q_conv1d.weight", w.q_conv, ParamSpec{{k, 1, c.conv}, {Init::last_tap, 1.0 * c.conv}});
    visit("k_conv1d.weight", w.k_conv, ParamSpec{{k, 1, c.conv}, {Init::last_tap, 1.0 * c.conv}});
    visit("v_conv1d.weight", w.v_conv, ParamSpec{{v, 1, c.conv}, {Init::last_tap, 1.0 * c.conv}});
    if (c.gate) visit("g_proj.weight", w.g_proj, ParamSpec{{v, hidden}});
    visit("o_norm.weight", w.norm, ParamSpec{{c.dv}, {Init::constant, 1}});
    visit("o_proj.weight", w.o_proj, ParamSpec{{hidden, v}});
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    visit("conv_q", s.q_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.heads} * c.dk}});
    visit("conv_k", s.k_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.heads} * c.dk}});
    visit("conv_v", s.v_tail, StateSpec{StateSpec::fixed, {c.conv, int64_t{c.heads} * c.dv}});
    visit("recurrent", s.recurrent, StateSpec{StateSpec::fixed, {c.heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.heads, c.heads, c.heads, c.dk, c.dv);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto act = [](auto t) { return silu(t); };
    auto q = ops.map(act, ops.short_conv(ops.linear(x, w.q_proj), w.q_conv, {}, s.q_tail));
    auto k = ops.map(act, ops.short_conv(ops.linear(x, w.k_proj), w.k_conv, {}, s.k_tail));
    auto v = ops.map(act, ops.short_conv(ops.linear(x, w.v_proj), w.v_conv, {}, s.v_tail));
    const float top = c.negative_eigenvalues ? 2 : 1;
    Recurrence<TensorOf<Ops>> r{.q = ops.l2_norm(ops.heads(q, c.heads), 1e-6f),
                                .k = ops.l2_norm(ops.heads(k, c.heads), 1e-6f),
                                .v = ops.heads(v, c.heads),
                                .beta = ops.map([top](auto t) { return top * sigmoid(t); }, ops.linear(x, w.b_proj))};
    r.scale = 1.0f / std::sqrt(static_cast<float>(c.dk));
    auto o = read_out(ops, c, w, ops.recurrence(r, s.recurrent), x, c.heads);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
