#include "jet/train/distill.h"

#include <ATen/core/grad_mode.h>

namespace jet {

using at::Tensor;

Tensor forward_with(TorchOps& ops, const TorchModel& m, const Tensor& ids, const MixerFn& mixer, Trace* trace) {
  const auto recorded = [&](int layer, const Tensor& h) {
    Tensor y = mixer(layer, h);
    if (trace) {
      trace->mixer_in.push_back(h);
      trace->mixer_out.push_back(y);
    }
    return y;
  };
  Tensor hidden = hidden_forward(ops, m.spec, m.weights, ids, recorded);
  if (trace) trace->hidden = hidden;
  return hidden;
}

MixerFn own_mixers(TorchOps& ops, const TorchModel& m) {
  return [&ops, &m](int layer, const Tensor& h) {
    MixerState<Tensor> state;
    mixer_state(m.spec.layers[layer], m.spec.hidden_size, state, [](const char*, Tensor&, const StateSpec&) {});
    return mixer_forward(ops, m.spec.layers[layer], m.weights.layers[layer].mixer, h, state);
  };
}

Trace teach(TorchOps& ops, const TorchModel& teacher, const Tensor& ids) {
  const at::NoGradGuard no_grad;
  Trace trace;
  forward_with(ops, teacher, ids, own_mixers(ops, teacher), &trace);
  return trace;
}

Tensor mean_weights(const Tensor& weights) { return weights / weights.narrow(1, 1, weights.size(1) - 1).sum(); }

Tensor feature_loss(const Tensor& y, const Tensor& target) {
  const auto power = [](const Tensor& x) { return x.square().flatten(1).mean(1); };
  return (power(y - target) / power(target).clamp_min(1e-12)).mean();
}

namespace {

// Position t is weighted by the token that it predicts; the last position predicts nothing.
Tensor weighted_sum(const Tensor& per_position, const Tensor& weights) {
  return (per_position * weights.narrow(1, 1, weights.size(1) - 1)).sum();
}

Tensor log_probabilities(const TorchOps& ops, const Tensor& hidden, const Tensor& head) {
  return at::log_softmax(ops.linear(hidden.narrow(1, 0, hidden.size(1) - 1), head), -1);
}

}  // namespace

Tensor kl_loss(const TorchOps& ops, const Tensor& hidden, const Tensor& teacher_hidden, const Tensor& head,
               const Tensor& teacher_head, const Tensor& weights) {
  Tensor target;
  {
    const at::NoGradGuard no_grad;
    target = log_probabilities(ops, teacher_hidden, teacher_head);
  }
  const Tensor log_p = log_probabilities(ops, hidden, head);
  return weighted_sum((target.exp() * (target - log_p)).sum(-1), weights);
}

Tensor next_token_loss(const TorchOps& ops, const Tensor& hidden, const Tensor& head, const Tensor& ids,
                       const Tensor& weights) {
  const Tensor log_p = log_probabilities(ops, hidden, head);
  const Tensor picked = log_p.gather(-1, ids.narrow(1, 1, ids.size(1) - 1).unsqueeze(-1)).squeeze(-1);
  return weighted_sum(-picked, weights);
}

}  // namespace jet
