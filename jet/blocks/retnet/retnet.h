// Multi-scale retention (Sun et al. 2023; fla layers/multiscale_retention.py):
//
//   q, k = rope(Wq x), rope(Wk x),  v = Wv x,  gamma_h = 1 - 2^(-5-h)
//   S_t = gamma_h S_(t-1) + k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo (norm(o) * silu(Wg x)), without gate: Wo norm(o)
#pragma once

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/parts.h"

namespace jet {

struct RetNet {
  static constexpr const char* kind = "retnet";

  struct Config {
    int heads = 0, dk = 0, dv = 0;
    bool gate = true;
    float norm_eps = 1e-5f;
    Rope rope{};
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("dk", c.dk), v("dv", c.dv), v("gate", c.gate), v("norm_eps", c.norm_eps),
          v("rope", c.rope);
    }
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_pairs("dk", dk, where);
      rope.check(dk, where);
      check_eps(norm_eps, where);
    }
    static Config like(const Attention::Config&, const MixerDims& d) {
      return {.heads = d.heads, .dk = d.dk, .dv = d.dv};
    }
    static std::vector<Config> examples() {
      return {{.heads = 3, .dk = 6, .dv = 10}, {.heads = 3, .dk = 6, .dv = 10, .gate = false}};
    }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, g_proj, norm, o_proj;
  };

  template <class T>
  struct State {
    T recurrent;  // [heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const int64_t k = int64_t{c.heads} * c.dk, v = int64_t{c.heads} * c.dv;
    qkv_params({k, k, v}, hidden, w, visit);
    if (c.gate) visit("g_proj.weight", w.g_proj, ParamSpec::matrix(v, hidden));
    visit("g_norm_swish_gate.weight", w.norm, ParamSpec::norm(c.dv));
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, v));
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.heads, c.heads, c.heads, c.dk, c.dv);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    std::vector<float> decay(c.heads);
    for (int h = 0; h < c.heads; ++h) decay[h] = static_cast<float>(std::log1p(-std::exp2(-5.0 - h)));
    const Recurrence<TensorOf<Ops>> r{.q = ops.rope(ops.heads(ops.linear(x, w.q_proj), c.heads), c.rope),
                                      .k = ops.rope(ops.heads(ops.linear(x, w.k_proj), c.heads), c.rope),
                                      .v = ops.heads(ops.linear(x, w.v_proj), c.heads),
                                      .g = ops.constant(decay),
                                      .scale = head_scale(c.dk)};
    auto o = read_out(ops, c, w, ops.recurrence(r, s.recurrent), x, c.heads);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
