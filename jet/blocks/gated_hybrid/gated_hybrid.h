// Gated hybrid attention: full attention and a linear block side by side, mixed by a gate that sees the token:
//
//   y = g full(x) + (1 - g) linear(x),   g = sigmoid(Wg x + b), one number a token
//
// The linear block is Gated DeltaNet. The gate starts near full attention (b = 2).
#pragma once

#include "jet/blocks/attention/attention.h"
#include "jet/blocks/gated_delta_net/gated_delta_net.h"

namespace jet {

struct GatedHybrid {
  static constexpr const char* kind = "gated_hybrid";
  using Linear = GatedDeltaNet;

  struct Config {
    Attention::Config full{};
    Linear::Config linear{};
    template <class V>
    static void fields(Config& c, V&& v) {
      v("full", c.full), v("linear", c.linear);
    }
    void check(const std::string& where) const {
      full.check(where + ": full");
      linear.check(where + ": linear");
    }
    static Config like(const Attention::Config& attention, const MixerDims& d) {
      return {attention, Linear::Config::like(attention, d)};
    }
    static std::vector<Config> examples() {
      return {{Attention::Config::examples()[0], Linear::Config::examples()[0]}};
    }
  };

  template <class T>
  struct Weights {
    Attention::Weights<T> full;
    Linear::Weights<T> linear;
    T gate, gate_bias;
  };

  template <class T>
  struct State {
    Attention::State<T> full;
    Linear::State<T> linear;
  };

  /// Under this prefix lie the parameters of an attention layer as it was: a branch takes them over whole.
  static constexpr const char* attention_part = "full.";
  /// What is new beside that attention, and fitted to it.
  static const Linear::Config& new_part(const Config& c) { return c.linear; }
  template <class T>
  static Linear::Weights<T>& new_part(Weights<T>& w) {
    return w.linear;
  }

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    Attention::params(c.full, hidden, w.full, under(attention_part, visit));
    Linear::params(c.linear, hidden, w.linear, under("linear.", visit));
    visit("gate.weight", w.gate, ParamSpec::gate(1, hidden, {Init::constant, 0}));
    visit("gate.bias", w.gate_bias, ParamSpec::constant(1, 2));
  }

  template <class T, class Visit>
  static void state(const Config& c, int hidden, State<T>& s, Visit&& visit) {
    Attention::state(c.full, hidden, s.full, under(attention_part, visit));
    Linear::state(c.linear, hidden, s.linear, under("linear.", visit));
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    std::vector<AttentionRole> all = Linear::roles(c.linear);
    for (auto& r : all) r.param = "linear." + r.param;
    return all;
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    auto gate = ops.map([](auto t) { return sigmoid(t); }, ops.linear(x, w.gate, w.gate_bias));
    auto full = Attention::forward(ops, c.full, w.full, x, s.full);
    auto linear = Linear::forward(ops, c.linear, w.linear, x, s.linear);
    return ops.map([](auto a, auto b, auto g) { return b + g * (a - b); }, full, linear, gate);
  }
};

}  // namespace jet
