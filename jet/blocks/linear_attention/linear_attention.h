// Linear attention with a feature map (Katharopoulos et al. 2020, arXiv 2006.16236):
//
//   q, k = phi(rope(Wq x)), phi(rope(Wk x)),  v = Wv x         phi(u) = elu(u) + 1, or learned: elu(u + F u) + 1
//   S_t = S_(t-1) + k_t v_t^T,  z_t = z_(t-1) + k_t,  o_t = S_t^T q_t / (z_t . q_t),  y = Wo o
//
// The learned map (one F [dK, dK] for queries, one for keys, shared by the heads) starts at the fixed one.
#pragma once

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/parts.h"

namespace jet {

struct LinearAttention {
  static constexpr const char* kind = "linear_attention";

  struct Config {
    int heads = 0, dk = 0, dv = 0;
    bool learned = false;
    Rope rope{};
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("dk", c.dk), v("dv", c.dv), v("learned", c.learned), v("rope", c.rope);
    }
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_pairs("dk", dk, where);
      rope.check(dk, where);
    }
    /// Heads of another width have other pairs.
    static Config like(const Attention::Config& attention, const MixerDims& d) {
      Rope rope = attention.rope;
      if (d.dk != attention.head_dim) rope.dims = {}, rope.divide = {};
      return {.heads = d.heads, .dk = d.dk, .dv = d.dv, .rope = rope};
    }
    static std::vector<Config> examples() {
      return {{.heads = 3, .dk = 6, .dv = 10, .learned = true}, {.heads = 2, .dk = 4, .dv = 7}};
    }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, o_proj, q_map, k_map;
  };

  template <class T>
  struct State {
    T recurrent;   // [heads, dk, dv]
    T normalizer;  // [heads, dk]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const int64_t k = int64_t{c.heads} * c.dk, v = int64_t{c.heads} * c.dv;
    qkv_params({k, k, v}, hidden, w, visit);
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, v));
    if (c.learned) {
      visit("q_map.weight", w.q_map, ParamSpec::gate(c.dk, c.dk, {Init::constant, 0}));
      visit("k_map.weight", w.k_map, ParamSpec::gate(c.dk, c.dk, {Init::constant, 0}));
    }
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.heads, c.dk, c.dv}});
    visit("normalizer", s.normalizer, StateSpec{StateSpec::fixed, {c.heads, c.dk}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.heads, c.heads, c.heads, c.dk, c.dv);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto phi = [&](TensorOf<Ops> u, const auto& map) {
      if (c.learned) u = ops.map([](auto a, auto b) { return a + b; }, u, ops.linear(u, map));
      return ops.map([](auto t) { return elu_plus_one(t); }, u);
    };
    auto q = phi(ops.rope(ops.heads(ops.linear(x, w.q_proj), c.heads), c.rope), w.q_map);
    auto k = phi(ops.rope(ops.heads(ops.linear(x, w.k_proj), c.heads), c.rope), w.k_map);
    auto v = ops.heads(ops.linear(x, w.v_proj), c.heads);
    auto ones = ops.map([](auto t) { return 0.0f * t + 1.0f; }, ops.sum_last(k));
    auto o = ops.recurrence(Recurrence<TensorOf<Ops>>{.q = q, .k = k, .v = v}, s.recurrent);
    auto z = ops.recurrence(Recurrence<TensorOf<Ops>>{.q = q, .k = k, .v = ones}, s.normalizer);
    o = ops.map([](auto t, auto n) { return t / (n + 1e-6f); }, o, z);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
