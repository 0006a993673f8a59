// Attention over a window and a text's first tokens, and a gated delta rule for what lies between, on the same q, k, v:
//
//   q, k, v as the attention that it replaces has them; a = its o over the last `window` tokens and the first `sinks`
//   q', k' = silu(q), silu(k) before rope, of unit length;  beta = sigmoid(Wb x)
//   g = -exp(A_log) softplus(Wa x + dt_bias)
//   S_t = exp(g_t) (I - beta_t k'_t k'_t^T) S_(t-1) + beta_t k'_t v_t^T,  r_t = S_t^T q'_t / sqrt(d)
//   y = Wo (a + tanh(Wr x) norm(r)),  one gate a head and token, 0 at first
//
// Full layers of trained models rest most of their weight on a text's first tokens (attention sinks, StreamingLLM,
// arXiv 2309.17453); a window that has lost them must spend that weight on what it has. Under a bare window of 128 the
// outputs of SmolLM2's mixers are off by 1.1 times their own square, with four first tokens by 0.11
// (lab/window_sinks.py). The attention is taken over as it is, and before training the block is that attention. Compare
// LoLCATs (arXiv 2410.10254: one softmax for both parts) and RAttention (arXiv 2506.15545: the linear part sees what
// has left the window).
#pragma once

#include "jet/blocks/attention/attention.h"

namespace jet {

struct WindowDelta {
  static constexpr const char* kind = "window_delta";

  struct Config {
    Attention::Config attention{};  // its window is the block's
    int window = 0, sinks = 4;
    float norm_eps = 1e-5f;
    template <class V>
    static void fields(Config& c, V&& v) {
      v("attention", c.attention), v("window", c.window), v("sinks", c.sinks), v("norm_eps", c.norm_eps);
    }
    void check(const std::string& where) const {
      attention.check(where + ": attention");
      require(attention.window == 0, "{}: the window stands beside attention, not in it", where);
      check_size("window", window, where);
      local().check(where);
      check_eps(norm_eps, where);
    }
    static Config like(const Attention::Config& attention, const MixerDims&) {
      Config c{.attention = attention, .window = attention.window > 0 ? attention.window : 64};
      c.attention.window = c.attention.sinks = 0;
      return c;
    }
    static std::vector<Config> examples() {
      std::vector<Config> all;
      for (auto a : Attention::Config::examples()) {
        a.window = a.sinks = 0;
        all.push_back({.attention = a, .window = 5, .sinks = 3});
      }
      all.front().sinks = 0;
      return all;
    }
    /// The attention with its window and sinks.
    Attention::Config local() const {
      Attention::Config a = attention;
      a.window = window, a.sinks = sinks;
      return a;
    }
  };

  template <class T>
  struct Weights {
    Attention::Weights<T> attention;
    T b_proj, a_proj, A_log, dt_bias, delta_gate, norm;
  };

  template <class T>
  struct State {
    Attention::State<T> local;
    T recurrent;  // [heads, head_dim, head_dim]
  };

  static constexpr const char* attention_part = "attention.";

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    Attention::params(c.attention, hidden, w.attention, under(attention_part, visit));
    const int heads = c.attention.heads;
    visit("b_proj.weight", w.b_proj, ParamSpec::gate(heads, hidden));
    visit("a_proj.weight", w.a_proj, ParamSpec::gate(heads, hidden));
    decay_params(heads, heads, w, visit);
    visit("delta_gate.weight", w.delta_gate, ParamSpec::gate(heads, hidden, {Init::constant, 0}));
    visit("o_norm.weight", w.norm, ParamSpec::norm(c.attention.head_dim));
  }

  template <class T, class Visit>
  static void state(const Config& c, int hidden, State<T>& s, Visit&& visit) {
    Attention::state(c.local(), hidden, s.local, visit);
    const int dim = c.attention.head_dim;
    visit("recurrent", s.recurrent, StateSpec{StateSpec::recurrent, {c.attention.heads, dim, dim}});
  }

  /// None beside the attention that it takes over whole.
  static std::vector<AttentionRole> roles(const Config&) { return {}; }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const Attention::Config local = c.local();
    const int heads = local.heads, group = heads / local.kv_heads;
    const auto part = Attention::read(ops, local, w.attention, x);
    const auto unit = [&](const auto& t) { return ops.l2_norm(ops.map([](auto u) { return silu(u); }, t), 1e-6f); };
    const Recurrence<TensorOf<Ops>> r{.q = unit(part.q),
                                      .k = ops.repeat_heads(unit(part.k), group),
                                      .v = ops.repeat_heads(part.v, group),
                                      .g = head_decay(ops, w, x),
                                      .beta = ops.map([](auto t) { return sigmoid(t); }, ops.linear(x, w.b_proj)),
                                      .scale = head_scale(local.head_dim)};
    auto near = Attention::attend(ops, local, part, s.local);
    auto far = ops.rms_norm(ops.recurrence(r, s.recurrent), w.norm, c.norm_eps);
    auto add = ops.map([](auto t) { return tanh(t); }, ops.linear(x, w.delta_gate));
    auto o = ops.map([](auto a, auto b, auto h) { return a + h * b; }, near, far, ops.heads(add, heads));
    return Attention::write(ops, local, w.attention, part, o);
  }
};

}  // namespace jet
