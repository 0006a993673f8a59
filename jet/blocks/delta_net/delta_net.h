// DeltaNet (Yang et al. 2024, arXiv 2406.06484; fla layers/delta_net.py):
//
//   q, k, v = silu(conv(Wq x)), silu(conv(Wk x)), silu(conv(Wv x)),  q and k of unit length,  beta = sigmoid(Wb x)
//   S_t = (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T,  o_t = S_t^T q_t / sqrt(dK)
//   y = Wo norm(o), with gate: Wo (norm(o) * silu(Wg x)); negative eigenvalues: beta in (0, 2)
#pragma once

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/parts.h"

namespace jet {

struct DeltaNet {
  static constexpr const char* kind = "delta_net";

  struct Config {
    int heads = 0, dk = 0, dv = 0;
    int conv = 4;
    bool gate = false, negative_eigenvalues = false, conv_bias = false;
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("dk", c.dk), v("dv", c.dv), v("conv", c.conv), v("gate", c.gate);
      v("negative_eigenvalues", c.negative_eigenvalues), v("norm_eps", c.norm_eps), v("conv_bias", c.conv_bias);
    }
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_size("conv", conv, where);
      check_eps(norm_eps, where);
    }
    static Config like(const Attention::Config&, const MixerDims& d) {
      return {.heads = d.heads, .dk = d.dk, .dv = d.dv};
    }
    static std::vector<Config> examples() {
      return {{.heads = 3, .dk = 6, .dv = 10, .gate = true, .negative_eigenvalues = true},
              {.heads = 2, .dk = 17, .dv = 70, .conv = 1, .conv_bias = true}};
    }
    QkvChannels channels() const { return {int64_t{heads} * dk, int64_t{heads} * dk, int64_t{heads} * dv}; }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, b_proj, q_conv, k_conv, v_conv, q_conv_bias, k_conv_bias, v_conv_bias;
    T g_proj, norm, o_proj;
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
    conv_params(n, c, w, visit);
    if (c.gate) visit("g_proj.weight", w.g_proj, ParamSpec::matrix(n.v, hidden));
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

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto [q, k, v] = convolved_qkv(ops, x, w, s);
    const float top = c.negative_eigenvalues ? 2 : 1;
    const Recurrence<TensorOf<Ops>> r{
        .q = unit_heads(ops, q, c.heads),
        .k = unit_heads(ops, k, c.heads),
        .v = ops.heads(v, c.heads),
        .beta = ops.map([top](auto t) { return top * sigmoid(t); }, ops.linear(x, w.b_proj)),
        .scale = head_scale(c.dk)};
    auto o = read_out(ops, c, w, ops.recurrence(r, s.recurrent), x, c.heads);
    return ops.linear(ops.flat(o), w.o_proj);
  }
};

}  // namespace jet
