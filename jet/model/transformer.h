// The forward pass of every model, over any op set; its equations open jet/model/spec.h.
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

/// What a caller does beside the pass. around(layer, x) returns layer(x).
template <class See = SeeNothing, class Around = RunLayer>
struct Hooks {
  See see{};
  Around around{};
};
template <class See>
Hooks(See) -> Hooks<See>;
template <class See, class Around>
Hooks(See, Around) -> Hooks<See, Around>;

template <OpSet Ops>
TensorOf<Ops> scaled(Ops& ops, TensorOf<Ops> x, float scale) {
  return scale == 1 ? x : ops.map([scale](auto t) { return t * scale; }, x);
}

/// x + residual_scale after(f(before(x))): f is a layer's mixer or its MLP.
template <OpSet Ops, class F>
TensorOf<Ops> residual(Ops& ops, const ModelSpec& s, Norms norms, const NormWeights<typename Ops::Weight>& w,
                       TensorOf<Ops> x, const F& f) {
  auto y = f(norms == Norms::after ? x : ops.rms_norm(x, w.before, s.rms_norm_eps));
  if (norms != Norms::before) y = ops.rms_norm(y, w.after, s.rms_norm_eps);
  if (s.residual_scale == 1) return ops.map([](auto a, auto b) { return a + b; }, x, y);
  return ops.map([r = s.residual_scale](auto a, auto b) { return a + b * r; }, x, y);
}

/// One layer's mixer and MLP: x [.., hidden] -> [.., hidden]. mixer(h) is the layer's mixer.
template <OpSet Ops, class Mixer>
TensorOf<Ops> layer_forward(Ops& ops, const ModelSpec& s, const ModelWeights<typename Ops::Weight>& w, int i,
                            const Mixer& mixer, TensorOf<Ops> x) {
  const auto& l = w.layers[i];
  const LayerForm form = s.form(i);
  if (has_mixer(s.layers[i])) {
    x = residual(ops, s, form.norms, l.mixer_norms, x, [&](TensorOf<Ops> h) { return mixer(std::move(h)); });
  }
  if (!form.mlp) return x;
  return residual(ops, s, form.norms, l.mlp_norms, x, [&](const TensorOf<Ops>& h) {
    return ops.linear(gated_linear(ops, s.hidden_act, h, l.gate, l.up), l.down);
  });
}

/// ids -> what the head reads: logits_scale times the final norm's output [.., hidden]. mixer(layer, h) is the layer's
/// mixer: the model's own, or, in a supernet, whichever branch the path takes. A copy of a layer may run again while
/// ops, s, w and what the mixer refers to live.
template <OpSet Ops, class Ids, class Mixer, class See = SeeNothing, class Around = RunLayer>
TensorOf<Ops> hidden_forward(Ops& ops, const ModelSpec& s, const ModelWeights<typename Ops::Weight>& w, const Ids& ids,
                             const Mixer& mixer, const Hooks<See, Around>& hooks = {}) {
  auto x = scaled(ops, ops.embed(ids, w.embed), s.embed_scale);
  hooks.see("hidden.embed", -1, x);
  for (int i = 0; i < s.n_layers(); ++i) {
    const auto layer = [&ops, &s, &w, mixer, i](TensorOf<Ops> in) {
      return layer_forward(
          ops, s, w, i, [&](TensorOf<Ops> h) { return mixer(i, std::move(h)); }, std::move(in));
    };
    x = hooks.around(layer, std::move(x));
    hooks.see("hidden.layer", i, x);
  }
  x = ops.rms_norm(x, w.norm, s.rms_norm_eps);
  hooks.see("hidden.norm", -1, x);
  return scaled(ops, x, s.logits_scale);
}

/// ids -> logits [.., vocab] of the model's own mixers.
template <OpSet Ops, class Ids, class See = SeeNothing>
TensorOf<Ops> logits_forward(Ops& ops, const ModelSpec& s, const ModelWeights<typename Ops::Weight>& w, const Ids& ids,
                             ModelState<typename Ops::State>& state, const See& see = {}) {
  auto mixer = [&](int i, TensorOf<Ops> h) {
    return mixer_forward(ops, s.layers[i], w.layers[i].mixer, std::move(h), state[i]);
  };
  auto x = hidden_forward(ops, s, w, ids, mixer, Hooks{see});
  return ops.linear(ops.last_rows(x), s.tie_word_embeddings ? w.embed : w.head);
}

}  // namespace jet
