// Mamba2, state-space duality (Dao & Gu 2024; fla layers/mamba2.py). N = dk state channels, P = dv channels a head:
//
//   z, xBC, dt = split(Win x);   x, B, C = split(silu(conv(xBC) + bias));   dt = softplus(dt + dt_bias)
//   S_t = exp(-exp(A_log) dt_t) S_(t-1) + B_t (dt_t x_t)^T,   y_t = S_t^T C_t + D x_t
//   out = Wout norm(y * silu(z)), norm_before_gate: Wout (norm(y) * silu(z))      the norm is over a group's channels
//
// B and C are shared by the heads of a group.
#pragma once

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/parts.h"

namespace jet {

struct Mamba2 {
  static constexpr const char* kind = "mamba2";

  struct Config {
    int heads = 0, dk = 0, dv = 0;
    int groups = 1, conv = 4;
    bool norm_before_gate = false;
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("dk", c.dk), v("dv", c.dv), v("groups", c.groups), v("conv", c.conv);
      v("norm_before_gate", c.norm_before_gate), v("norm_eps", c.norm_eps);
    }
    void check(const std::string& where) const {
      check_dims(*this, where);
      check_size("conv", conv, where);
      check_size("groups", groups, where);
      check_multiple("heads", heads, "groups", groups, where);
      check_eps(norm_eps, where);
    }
    /// With a B and a C for every head, as attention has.
    static Config like(const Attention::Config&, const MixerDims& d) {
      return {.heads = d.heads, .dk = d.dk, .dv = d.dv, .groups = d.heads};
    }
    static std::vector<Config> examples() {
      return {{.heads = 6, .dk = 6, .dv = 10, .groups = 3, .conv = 3},
              {.heads = 6, .dk = 6, .dv = 10, .groups = 3, .norm_before_gate = true}};
    }
    int64_t inner() const { return int64_t{heads} * dv; }
    int64_t bc() const { return int64_t{groups} * dk; }
    int64_t mixed() const { return inner() + 2 * bc(); }
  };

  template <class T>
  struct Weights {
    T in_proj, conv, conv_bias, A_log, dt_bias, D, norm, out_proj;
  };

  template <class T>
  struct State {
    T tail;       // [conv, mixed], raw inputs, oldest first
    T recurrent;  // [heads, dk, dv]
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    visit("in_proj.weight", w.in_proj, ParamSpec::matrix(c.inner() + c.mixed() + c.heads, hidden));
    visit("conv1d.weight", w.conv, conv_param(c.mixed(), c.conv));
    visit("conv1d.bias", w.conv_bias, ParamSpec::constant(c.mixed(), 0));
    visit("A_log", w.A_log, ParamSpec::vector({c.heads}, {Init::decay_log, 1, 16}));
    visit("dt_bias", w.dt_bias, ParamSpec::vector({c.heads}, {Init::softplus_inverse, 1e-3, 1e-1}));
    visit("D", w.D, ParamSpec::constant(c.heads, 1));
    visit("norm.weight", w.norm, ParamSpec::norm(c.inner()));
    visit("out_proj.weight", w.out_proj, ParamSpec::output(hidden, c.inner()));
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    visit("conv", s.tail, StateSpec{StateSpec::fixed, {c.conv, c.mixed()}});
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.heads, c.dk, c.dv}});
  }

  // x plays v, B plays k, C plays q (Wang et al. 2024, The Mamba in the Llama).
  static std::vector<AttentionRole> roles(const Config& c) {
    return {{AttentionRole::v, "in_proj.weight", c.inner(), c.heads, c.dv},
            {AttentionRole::k, "in_proj.weight", 2 * c.inner(), c.groups, c.dk},
            {AttentionRole::q, "in_proj.weight", 2 * c.inner() + c.bc(), c.groups, c.dk},
            {AttentionRole::o, "out_proj.weight", 0, c.heads, c.dv}};
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    auto in = ops.linear(x, w.in_proj);
    auto z = ops.slice(in, 0, c.inner());
    auto xbc = ops.map([](auto t) { return silu(t); },
                       ops.short_conv(ops.slice(in, c.inner(), c.mixed()), w.conv, w.conv_bias, s.tail));
    auto dt = ops.map([](auto t, auto bias) { return softplus(t + bias); },
                      ops.slice(in, c.inner() + c.mixed(), c.heads), w.dt_bias);
    auto v = ops.heads(ops.slice(xbc, 0, c.inner()), c.heads);
    auto b = ops.heads(ops.slice(xbc, c.inner(), c.bc()), c.groups);
    auto q = ops.heads(ops.slice(xbc, c.inner() + c.bc(), c.bc()), c.groups);
    auto o = ops.recurrence(
        Recurrence<TensorOf<Ops>>{.q = ops.repeat_heads(q, c.heads / c.groups),
                                  .k = ops.repeat_heads(b, c.heads / c.groups),
                                  .v = ops.map([](auto t, auto d) { return t * d; }, v, ops.heads(dt, c.heads)),
                                  .g = ops.map([](auto d, auto a) { return -exp(a) * d; }, dt, w.A_log)},
        s.recurrent);
    // D is one number a head: seen as [heads, 1] it broadcasts over the head's channels.
    o = ops.map([](auto y, auto t, auto d) { return y + d * t; }, o, v, ops.heads(w.D, c.heads));
    const auto gated = [&](TensorOf<Ops> y) { return ops.map([](auto t, auto gate) { return t * silu(gate); }, y, z); };
    o = ops.flat(o);
    if (!c.norm_before_gate) o = gated(o);
    o = ops.flat(ops.rms_norm(ops.heads(o, c.groups), {}, c.norm_eps));
    o = ops.map([](auto y, auto weight) { return y * weight; }, o, w.norm);
    if (c.norm_before_gate) o = gated(o);
    return ops.linear(o, w.out_proj);
  }
};

}  // namespace jet
