// No mixer: the layer leaves it out, with its norms, and the residual stream passes by.
//
//   y = 0
//
// It is what a search puts where a model does without a layer's attention (PostNAS, arXiv 2508.15884).
#pragma once

#include "jet/blocks/attention/attention.h"

namespace jet {

struct None {
  static constexpr const char* kind = "none";
  static constexpr bool leaves_out_the_mixer = true;

  struct Config {
    template <class V>
    static void fields(Config&, V&&) {}
    void check(const std::string&) const {}
    static Config like(const Attention::Config&, const MixerDims&) { return {}; }
    static std::vector<Config> examples() { return {{}}; }
  };

  template <class T>
  struct Weights {};

  template <class T>
  struct State {};

  template <class T, class Visit>
  static void params(const Config&, int /*hidden*/, Weights<T>&, Visit&&) {}

  template <class T, class Visit>
  static void state(const Config&, int /*hidden*/, State<T>&, Visit&&) {}

  static std::vector<AttentionRole> roles(const Config&) { return {}; }

  /// Asked for where a supernet has it beside other branches; a model's own layers do not get here.
  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config&, const Weights<typename Ops::Weight>&, TensorOf<Ops> x,
                               State<typename Ops::State>&) {
    return ops.map([](auto t) { return 0.0f * t; }, x);
  }
};

}  // namespace jet
