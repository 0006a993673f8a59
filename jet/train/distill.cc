#include "jet/train/distill.h"

#include <ATen/core/grad_mode.h>

#include <memory>
#include <utility>

#include "jet/train/recompute.h"

namespace jet {

using at::Tensor;

namespace {

struct Seen {
  Tensor in, out;  // of the mixer of the layer that ran last
};

// One layer by recomputed(). The value that some blocks carry from the first layer to all others (first_of_pass) is an
// input of the layers that read it and an output of the one that makes it.
template <class Layer>
Tensor recomputed_layer(TorchOps& ops, const Layer& layer, const std::shared_ptr<Seen>& seen, const Tensor& x) {
  const auto run = [&ops, layer, seen](const Tensor& in, const Tensor& first) {
    ops.first = first;
    std::vector<Tensor> out{layer(in)};
    const Tensor mixed = std::exchange(*seen, {}).out, now = std::exchange(ops.first, {});
    if (mixed.defined()) out.push_back(mixed);  // a layer may lack its mixer
    if (!first.defined() && now.defined()) out.push_back(now);
    return out;
  };
  const Tensor before = ops.first;
  const auto out = recomputed(run, x, before);
  ops.first = out.size() > 2 ? out[2] : before;
  if (out.size() > 1) seen->out = out[1];
  return out[0];
}

}  // namespace

// A layer whose input wants no gradient is not run again: either nothing in it is trained, so that it keeps nothing, or
// it is the first one that is.
Tensor forward_with(TorchOps& ops, const TorchModel& m, const TokenRows& rows, const MixerFn& mixer, Trace* trace) {
  const auto seen = std::make_shared<Seen>();
  const auto watched = [mixer, seen](int layer, const Tensor& h) {
    *seen = {h, mixer(layer, h)};
    return seen->out;
  };
  const auto around = [&](const auto& layer, const Tensor& x) {
    const bool again = ops.recompute && at::GradMode::is_enabled() && x.requires_grad();
    Tensor out = again ? recomputed_layer(ops, layer, seen, x) : layer(x);
    const Seen now = std::exchange(*seen, {});
    if (trace) {
      trace->mixer_in.push_back(now.in);
      trace->mixer_out.push_back(now.out);
    }
    return out;
  };
  Tensor hidden = hidden_forward(ops, m.spec, m.weights, rows, watched, Hooks{SeeNothing{}, around});
  if (trace) trace->hidden = hidden, trace->head = head_of(m);
  return hidden;
}

Tensor CarriedStates::carry(const ModelSpec& spec, int layer, int64_t position,
                            const std::function<Tensor(MixerState<Tensor>&)>& mixer) {
  Layer& own = layers_[layer];
  if (own.position != position) own = {position, std::exchange(own.after, {}), {}};
  const auto each = [&](MixerState<Tensor>& state, const auto& f) {
    mixer_state(spec.layers[layer], spec.hidden_size, state, [&](const char*, Tensor& t, const StateSpec&) { f(t); });
  };
  if (!own.before) each(own.before.emplace(), [](Tensor&) {});
  MixerState<Tensor> state = *own.before;
  Tensor y = mixer(state);
  own.after = state;
  each(*own.after, [](Tensor& t) { t = t.detach(); });
  return y;
}

MixerFn own_mixers(TorchOps& ops, const TorchModel& m, States states) {
  return [&ops, &m, states = std::move(states)](int layer, const Tensor& h) {
    const auto run = [&](MixerState<Tensor>& state) {
      return mixer_forward(ops, m.spec.layers[layer], m.weights.layers[layer].mixer, h, state);
    };
    if (states) {
      const bool kept = std::exchange(ops.keep_state, true);
      Tensor y = states->carry(m.spec, layer, ops.position, run);
      ops.keep_state = kept;
      return y;
    }
    MixerState<Tensor> state;
    mixer_state(m.spec.layers[layer], m.spec.hidden_size, state, [](const char*, Tensor&, const StateSpec&) {});
    return run(state);
  };
}

Trace teach(TorchOps& ops, const TorchModel& teacher, const TokenRows& rows, States states) {
  const at::NoGradGuard no_grad;
  Trace trace;
  forward_with(ops, teacher, rows, own_mixers(ops, teacher, std::move(states)), &trace);
  return trace;
}

Tensor feature_loss(const Tensor& y, const Tensor& target) {
  const auto power = [](const Tensor& x) { return x.square().flatten(1).mean(1); };
  return (power(y - target) / power(target).clamp_min(1e-12)).mean();
}

Tensor mean_feature_loss(const std::vector<Tensor>& y, const std::vector<Tensor>& target,
                         const std::vector<int>& layers) {
  Tensor sum = at::zeros({});
  for (int l : layers) sum = sum + feature_loss(y[l], target[l]);
  return sum / static_cast<double>(layers.size());
}

Tensor local_loss(TorchOps& ops, const TorchModel& student, const Trace& teacher, const std::vector<int>& layers,
                  States states) {
  const MixerFn mixer = own_mixers(ops, student, std::move(states));
  std::vector<Tensor> y(student.spec.layers.size());
  for (int l : layers) y[l] = mixer(l, teacher.mixer_in[l]);
  return mean_feature_loss(y, teacher.mixer_out, layers);
}

}  // namespace jet
