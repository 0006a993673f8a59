// Selectors that change one layer at a time and keep the k layers where it matters most:
//   restore      all linear, one layer back to full attention: the fall of KL to the base   (fla, hybrid distillation)
//   swap drop    all full, one layer to linear: the fall of the objective                    (HALO)
//   importance   no path at all: sum |A| * |dL/dA| of the base's attention probabilities A, L its next-token loss
#include "jet/search/selectors/selector.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

namespace jet {

using at::Tensor;

Selected select_restore(SelectionInput& in) {
  const int n = in.layers();
  const double none = in.kl(path_of(n, {}));
  std::vector<double> fall(n);
  for (int i : in.allowed) fall[i] = none - in.kl(path_of(n, {i}));
  return {top_layers(in.allowed, fall, in.k), {.by_layer = fall}, "fall of KL by restoring one layer"};
}

Selected select_swap_drop(SelectionInput& in) {
  const LayerSet all(in.allowed.begin(), in.allowed.end());
  const Score base = in.score(all);
  // Where accuracy falls alike (often not at all), the rise of the loss decides: it is scaled below one item's worth.
  std::vector<double> drop(in.layers());
  for (int i : in.allowed) {
    LayerSet rest = all;
    rest.erase(i);
    const Score s = in.score(rest);
    drop[i] = base.accuracy - s.accuracy + 1e-6 * (s.nll - base.nll);
  }
  return {top_layers(in.allowed, drop, in.k), {.by_layer = drop}, "fall of the objective by swapping one layer"};
}

namespace {

Json attention_importance(Run& run, int64_t batches, const TrainConfig& c) {
  TorchOps ops = run.ops;
  ops.recompute = false;  // the maps of one pass are wanted, with its graph
  std::vector<double> sum(run.teacher.spec().n_layers());
  for (int64_t step = 0; step < batches; ++step) {
    const auto b = run.data.batch("importance", step, c);
    std::vector<Tensor> maps;
    ops.attention_maps = &maps;
    const Tensor hidden = forward_with(ops, run.teacher.model, b.rows.ids, own_mixers(ops, run.teacher.model));
    const Tensor loss = next_token_loss(ops, hidden, head_of(run.teacher.model), b.next, b.weights);
    const auto grads = torch::autograd::grad({loss}, maps);
    for (size_t l = 0; l < maps.size(); ++l) sum[l] += (maps[l].detach() * grads[l].abs()).sum().item<double>();
  }
  return sum;
}

}  // namespace

Selected select_importance(SelectionInput& in) {
  constexpr int64_t kBatches = 4;
  const TrainConfig& c = in.run.recipe.supernet.budget.distill.train;
  const Json sum = in.run.folder.ledger.once_by_first("selector/importance",
                                                      [&] { return attention_importance(in.run, kBatches, c); });
  const LayerSet all(in.allowed.begin(), in.allowed.end());
  in.charge_training(kBatches * c.tokens_per_step(), c.length, {path_of(in.layers(), all)}, false);
  const auto values = sum.get<std::vector<double>>();
  return {top_layers(in.allowed, values, in.k), {.by_layer = values}, "sum |A| |dL/dA| of the base"};
}

}  // namespace jet
