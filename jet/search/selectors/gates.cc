// Learned gates: every layer becomes y = g full(x) + (1 - g) linear(x), g = sigmoid(z), and only the z are trained:
//   loss = KL to the base + budget_weight ((sum g - k) / L)^2 + sharpen mean 4 g (1 - g),
// the last weight rising from zero, so that gates end near 0 or 1. Then the k greatest are kept (as in DASH and
// FlashMorph). As a prior, the gates leave the beam only the likeliest 2 k layers.
#include <ATen/core/grad_mode.h>

#include "jet/search/run_plan.h"
#include "jet/search/selectors/selector.h"

namespace jet {

using at::Tensor;

namespace {

std::vector<double> learn_gates(SelectionInput& in) {
  Run& run = in.run;
  const GatesConfig& c = run.recipe.placement.gates;
  const int n = in.layers();
  const auto layers = static_cast<double>(in.allowed.size());
  const Tensor z = at::zeros({n}, run.ops.device).requires_grad_(true);
  Tensor allowed = at::zeros({n});
  for (const int l : in.allowed) allowed[l] = 1;
  allowed = allowed.to(run.ops.device);
  const auto loss = [&](const Part& part) {
    const auto b = run.data.batch("gates", part, c.train);
    const Trace teacher = run.teacher.trace(b);
    const Tensor g = z.sigmoid() * allowed;
    TorchOps ops = run.ops;
    ops.recompute = false;  // all layers share g's graph
    const Tensor hidden = forward_with(ops, run.teacher.model, b.rows, [&](int l, const Tensor& h) {
      const Tensor full = in.net.mixer(ops, Branch::full, l, h, b.states("full")),
                   linear = in.net.mixer(ops, Branch::linear, l, h, b.states("linear"));
      return linear + g[l] * (full - linear);
    });
    const double done = static_cast<double>(part.step) / static_cast<double>(c.train.steps());
    const Tensor penalty =
        c.budget_weight * ((g.sum() - in.k) / layers).square() + c.sharpen * done * (4 * g * (1 - g)).sum() / layers;
    const Tensor& head = head_of(run.teacher.model);
    return kl_loss(run.ops, {hidden, head}, {teacher.hidden, head}, b.weights) + b.share * penalty;
  };
  const Json gates = run.folder.ledger.once(fmt::format("selector/gates/{}", in.k), [&] {
    const std::string name = fmt::format("gates-{}", in.k);
    const auto doing = run.progress.training(WorkKind::gates, gates_passes(c.train));
    train({"selector: " + name, run.folder.checkpoint(name), c.train, {{"gates", z}}, loss});
    const at::NoGradGuard no_grad;
    const Tensor g = z.sigmoid();
    std::vector<double> out(n);
    for (int l = 0; l < n; ++l) out[l] = g[l].item<double>();
    return Json(out);
  });
  // Both branches of every layer run, as two paths would; what they share is counted twice.
  const LayerSet all(in.allowed.begin(), in.allowed.end());
  in.charge_training(c.train.steps() * c.train.tokens_per_step(), c.train.length, {path_of(n, all), path_of(n, {})},
                     true);
  return gates.get<std::vector<double>>();
}

}  // namespace

Selected select_gates(SelectionInput& in) {
  const auto gates = learn_gates(in);
  return {top_layers(in.allowed, gates, in.k), {.by_layer = gates}, "the greatest of the learned gates"};
}

Selected select_beam_gates(SelectionInput& in) {
  const LayerSet likely = top_layers(in.allowed, learn_gates(in), 2 * in.k);
  Selection s = beam_search({likely.begin(), likely.end()}, in.k, in.beam_options(), in.scorer());
  return {s.layers, {.beam = s.trace}, fmt::format("beam over the {} greatest gates", likely.size())};
}

}  // namespace jet
