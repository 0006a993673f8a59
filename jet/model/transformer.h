// The forward pass of every model, over any op set.
#pragma once

#include <utility>

#include "jet/blocks/math.h"
#include "jet/model/spec.h"

namespace jet {

/// One mixer: x [.., hidden] (after the input norm) -> [.., hidden].
template <OpSet Ops>
TensorOf<Ops> mixer_forward(Ops& ops, const MixerSpec& m, const MixerWeights<typename Ops::Weight>& w, TensorOf<Ops> x,
                            MixerState<typename Ops::State>& state) {
  return BlockList::visit(m, [&]<class Block>(const typename Block::Config& c) {
    return Block::forward(ops, c, std::get<typename Block::template Weights<typename Ops::Weight>>(w), std::move(x),
                          std::get<typename Block::template State<typename Ops::State>>(state));
  });
}

/// What a caller may look at on the way: see(name, layer, tensor). Names: "hidden.embed", "hidden.layer",
/// "hidden.norm".
struct SeeNothing {
  template <class T>
  void operator()(const char*, int, const T&) const {}
};

/// How a layer is run: once, at once. A trainer may run it again later (activation checkpointing).
struct RunLayer {
  template <class Layer, class T>
  T operator()(const Layer& layer, T x) const {
    return layer(std::move(x));
  }
};

/// ids -> the final norm's output [.., hidden]. mixer(layer, h) is the layer's mixer: the model's own, or, in a
/// supernet, whichever branch the path takes. around(layer, x) returns layer(x); a copy of `layer` may run again while
/// ops, s, w and what the mixer refers to live.
template <OpSet Ops, class Ids, class Mixer, class See = SeeNothing, class Around = RunLayer>
TensorOf<Ops> hidden_forward(Ops& ops, const ModelSpec& s, const ModelWeights<typename Ops::Weight>& w, const Ids& ids,
                             const Mixer& mixer, See&& see = {}, Around&& around = {}) {
  const auto add = [](auto a, auto b) { return a + b; };
  const float eps = s.rms_norm_eps;
  auto x = ops.embed(ids, w.embed);
  if (s.embed_scale != 1) x = ops.map([f = s.embed_scale](auto t) { return t * f; }, x);
  see("hidden.embed", -1, x);
  for (int i = 0; i < s.n_layers(); ++i) {
    const auto layer = [&ops, &s, &w, mixer, add, eps, i](TensorOf<Ops> in) {
      const auto& l = w.layers[i];
      auto y = mixer(i, ops.rms_norm(in, l.input_norm, eps));
      if (s.post_norms) y = ops.rms_norm(y, l.post_mixer_norm, eps);
      in = ops.map(add, in, y);

      auto h = ops.rms_norm(in, l.mlp_norm, eps);
      auto gate = ops.linear(h, l.gate), up = ops.linear(h, l.up);
      auto a = s.hidden_act == "silu" ? ops.map([](auto g, auto u) { return silu(g) * u; }, gate, up)
                                      : ops.map([](auto g, auto u) { return gelu_tanh(g) * u; }, gate, up);
      y = ops.linear(a, l.down);
      if (s.post_norms) y = ops.rms_norm(y, l.post_mlp_norm, eps);
      return ops.map(add, in, y);
    };
    x = around(layer, std::move(x));
    see("hidden.layer", i, x);
  }
  x = ops.rms_norm(x, w.norm, eps);
  see("hidden.norm", -1, x);
  return x;
}

/// ids -> logits [.., vocab] of the model's own mixers.
template <OpSet Ops, class Ids, class See = SeeNothing>
TensorOf<Ops> logits_forward(Ops& ops, const ModelSpec& s, const ModelWeights<typename Ops::Weight>& w, const Ids& ids,
                             ModelState<typename Ops::State>& state, See&& see = {}) {
  auto mixer = [&](int i, TensorOf<Ops> h) {
    return mixer_forward(ops, s.layers[i], w.layers[i].mixer, std::move(h), state[i]);
  };
  auto x = hidden_forward(ops, s, w, ids, mixer, see);
  return ops.linear(ops.last_rows(x), s.tie_word_embeddings ? w.embed : w.head);
}

}  // namespace jet
