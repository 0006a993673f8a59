// RWKV-7 time mixing (Peng et al. 2025, arXiv 2503.14456; fla layers/rwkv7.py):
//
//   x~_c = x_t + (x_(t-1) - x_t) mu_c   for c in r, w, k, v, a, g
//   r, k, v = Wr x~_r, Wk x~_k, Wv x~_v;   log w = -e^(-1/2) sigmoid(lora_w(x~_w));   a = sigmoid(lora_a(x~_a))
//   v <- v + (v_first - v) sigmoid(lora_v(x~_v))   v_first: v of the pass's first RWKV-7 layer; where v_rank > 0
//   kappa = k * k_k, of unit length per head;   k <- k (1 + (a - 1) k_a);   g = lora_g(x~_g)
//   S_t = diag(w_t) S_(t-1) - (kappa_t * a_t) (kappa_t^T S_(t-1)) + k_t v_t^T
//   y = Wo ((groupnorm(S_t^T r_t) + (sum r k r_k) v) * g)
#pragma once

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/parts.h"

namespace jet {

struct Rwkv7 {
  static constexpr const char* kind = "rwkv7";

  struct Config {
    int heads = 0, dk = 0, dv = 0;
    int decay_rank = 32, gate_rank = 64, a_rank = 32;
    int v_rank = 0;  // of the value residual's gate; 0: none
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("dk", c.dk), v("dv", c.dv), v("decay_rank", c.decay_rank), v("gate_rank", c.gate_rank);
      v("a_rank", c.a_rank), v("v_rank", c.v_rank), v("norm_eps", c.norm_eps);
    }
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_size("gate_rank", gate_rank, where);
      check_size("decay_rank", decay_rank, where);
      check_size("a_rank", a_rank, where);
      check_optional("v_rank", v_rank, where);
      check_eps(norm_eps, where);
    }
    static Config like(const Attention::Config&, const MixerDims& d) {
      return {.heads = d.heads, .dk = d.dk, .dv = d.dv, .v_rank = 32};
    }
    static std::vector<Config> examples() {
      return {{.heads = 3, .dk = 6, .dv = 10, .decay_rank = 5, .gate_rank = 7, .a_rank = 3, .v_rank = 4},
              {.heads = 2, .dk = 7, .dv = 5, .decay_rank = 3, .gate_rank = 4, .a_rank = 6}};
    }
  };

  template <class T>
  struct Weights {
    T x_r, x_w, x_k, x_v, x_a, x_g, k_k, k_a, r_k, r_proj, k_proj, v_proj, o_proj;
    T w_0, w_2, w_bias, a_0, a_2, a_bias, v_0, v_2, v_bias, g_0, g_2, norm, norm_bias;
  };

  template <class T>
  struct State {
    T last;       // [hidden], the previous input
    T recurrent;  // [heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const int64_t k = int64_t{c.heads} * c.dk, v = int64_t{c.heads} * c.dv;
    const ParamSpec mix = ParamSpec::vector({1, 1, hidden}, {Init::constant, 0});
    visit("x_r", w.x_r, mix), visit("x_w", w.x_w, mix), visit("x_k", w.x_k, mix);
    visit("x_v", w.x_v, mix), visit("x_a", w.x_a, mix), visit("x_g", w.x_g, mix);
    visit("k_k", w.k_k, ParamSpec::constant(k, 0.85));
    visit("k_a", w.k_a, ParamSpec::constant(k, 1));
    visit("r_k", w.r_k, ParamSpec::vector({c.heads, c.dk}, {Init::constant, 0}));
    visit("r_proj.weight", w.r_proj, ParamSpec::matrix(k, hidden));
    visit("k_proj.weight", w.k_proj, ParamSpec::matrix(k, hidden));
    visit("v_proj.weight", w.v_proj, ParamSpec::matrix(v, hidden));
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, v));
    // The decay starts slow (log w near -0.01), the in-context learning rate at one half.
    visit("w_lora.lora.0.weight", w.w_0, ParamSpec::gate(c.decay_rank, hidden));
    visit("w_lora.lora.2.weight", w.w_2, ParamSpec::gate(k, c.decay_rank, {Init::constant, 0}));
    visit("w_lora.lora.2.bias", w.w_bias, ParamSpec::constant(k, -4));
    visit("a_lora.lora.0.weight", w.a_0, ParamSpec::gate(c.a_rank, hidden));
    visit("a_lora.lora.2.weight", w.a_2, ParamSpec::gate(k, c.a_rank, {Init::constant, 0}));
    visit("a_lora.lora.2.bias", w.a_bias, ParamSpec::constant(k, 0));
    if (c.v_rank > 0) {  // starts at the layer's own value
      visit("v_lora.lora.0.weight", w.v_0, ParamSpec::gate(c.v_rank, hidden));
      visit("v_lora.lora.2.weight", w.v_2, ParamSpec::gate(v, c.v_rank, {Init::constant, 0}));
      visit("v_lora.lora.2.bias", w.v_bias, ParamSpec::constant(v, -4));
    }
    visit("g_lora.lora.0.weight", w.g_0, ParamSpec::gate(c.gate_rank, hidden));
    visit("g_lora.lora.2.weight", w.g_2, ParamSpec::gate(v, c.gate_rank));
    visit("g_norm.weight", w.norm, ParamSpec::norm(v));
    visit("g_norm.bias", w.norm_bias, ParamSpec::constant(v, 0));
  }

  template <class T, class Visit>
  static void state(const Config& c, int hidden, State<T>& s, Visit&& visit) {
    visit("conv", s.last, StateSpec{StateSpec::fixed, {hidden}});
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.heads, c.dk, c.dv}});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return {{AttentionRole::q, "r_proj.weight", 0, c.heads, c.dk},
            {AttentionRole::k, "k_proj.weight", 0, c.heads, c.dk},
            {AttentionRole::v, "v_proj.weight", 0, c.heads, c.dv},
            {AttentionRole::o, "o_proj.weight", 0, c.heads, c.dv}};
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    auto previous = ops.shift(x, s.last);
    const auto mix = [&](const auto& mu) {
      return ops.map([](auto now, auto before, auto m) { return now + (before - now) * m; }, x, previous, mu);
    };
    auto r = ops.linear(mix(w.x_r), w.r_proj), k = ops.linear(mix(w.x_k), w.k_proj);
    auto value_input = mix(w.x_v), values = ops.linear(value_input, w.v_proj), first = ops.first_of_pass(values);
    if (c.v_rank > 0) {
      auto share = ops.linear(ops.linear(value_input, w.v_0), w.v_2, w.v_bias);
      values =
          ops.map([](auto own, auto other, auto z) { return own + (other - own) * sigmoid(z); }, values, first, share);
    }
    auto v = ops.heads(values, c.heads);
    auto decay = ops.linear(ops.map([](auto t) { return tanh(t); }, ops.linear(mix(w.x_w), w.w_0)), w.w_2, w.w_bias);
    decay = ops.map([](auto t) { return -0.6065306597126334f * sigmoid(t); }, decay);
    auto a = ops.map([](auto t) { return sigmoid(t); }, ops.linear(ops.linear(mix(w.x_a), w.a_0), w.a_2, w.a_bias));
    auto gate = ops.linear(ops.map([](auto t) { return sigmoid(t); }, ops.linear(mix(w.x_g), w.g_0)), w.g_2);

    auto kappa = ops.l2_norm(ops.heads(ops.map([](auto t, auto m) { return t * m; }, k, w.k_k), c.heads), 1e-12f);
    k = ops.map([](auto t, auto rate, auto m) { return t + t * (rate - 1.0f) * m; }, k, a, w.k_a);
    auto rh = ops.heads(r, c.heads), kh = ops.heads(k, c.heads);
    auto o = ops.recurrence(Recurrence<TensorOf<Ops>>{.q = rh,
                                                      .k = kh,
                                                      .v = v,
                                                      .g = ops.heads(decay, c.heads),
                                                      .a = ops.map([](auto t) { return -t; }, kappa),
                                                      .b = ops.map([](auto t, auto rate) { return t * rate; }, kappa,
                                                                   ops.heads(a, c.heads))},
                            s.recurrent);
    o = ops.flat(ops.layer_norm(o, c.norm_eps * static_cast<float>(c.dv)));
    o = ops.map([](auto t, auto weight, auto bias) { return t * weight + bias; }, o, w.norm, w.norm_bias);
    auto bonus = ops.sum_last(ops.map([](auto t, auto u, auto m) { return t * u * m; }, rh, kh, w.r_k));
    o = ops.map([](auto t, auto f, auto u) { return t + f * u; }, ops.heads(o, c.heads), bonus, v);
    o = ops.map([](auto t, auto z) { return t * z; }, ops.flat(o), gate);
    return ops.linear(o, w.o_proj);
  }
};

}  // namespace jet
