#include "jet/search/run.h"

#include <ATen/Parallel.h>

#include "jet/base/threads.h"
#include "jet/search/device.h"
#include "jet/search/identity.h"

namespace jet {

TorchOps recipe_ops(const Recipe& recipe, const std::string& where) {
  at::set_num_threads(threads_asked(recipe.threads));
  TorchOps ops;
  ops.device = device_named(recipe.device, where);
  ops.compute = precision_named(recipe.precision, ops.device);
  ops.recompute = recipe.checkpoint_activations;
  return ops;
}

Run::Run(const Setup& s)
    : recipe(read_recipe(s.recipe)), ops(recipe_ops(recipe, s.recipe)),
      folder{Ledger(s.out, run_identity(recipe, s.base, {{"base", s.base}, {"student", s.student}}), s.trials)},
      data(recipe, s.base, ops.device), evaluator(recipe, data, ops, progress),
      teacher(s.base, recipe, ops, folder.path() + "/teacher") {
  PlacementConfig& p = recipe.placement;
  if (p.full_objective.empty()) p.full_objective = evaluator.all_alike(&Task::asks_retrieval);
  if (p.swa_objective.empty()) p.swa_objective = evaluator.all_alike(&Task::has_choices);
}

bool stays(const ModelSpec& base, const PlacementConfig& c, int layer) {
  return c.keep_windows && attention_of(base, layer).window > 0;
}

std::vector<int> searched_layers(const ModelSpec& base, const PlacementConfig& c) {
  std::vector<int> out = all_layers(base.n_layers());
  std::erase_if(out, [&](int l) { return stays(base, c, l); });
  return out;
}

bool stays(const Run& run, int layer) { return stays(run.teacher.spec(), run.recipe.placement, layer); }

std::vector<int> searched_layers(const Run& run) { return searched_layers(run.teacher.spec(), run.recipe.placement); }

}  // namespace jet
