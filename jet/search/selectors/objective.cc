#include "jet/search/selectors/objective.h"

#include <algorithm>

#include "jet/search/statistics.h"

namespace jet {

bool accuracy_tells(const std::vector<double>& accuracies, int items) {
  const Spread s = spread(accuracies);
  const double least = 1.0 / (items + 2), p = std::clamp(s.mean, least, 1 - least);
  return s.sd * s.sd > 2 * p * (1 - p) / items;
}

namespace {

// What a term goes by, and why.
std::string settled_by(Run& run, Supernet& net, const TaskWeight& term, const std::vector<Path>& first,
                       std::vector<std::string>& why) {
  if (term.by_loss()) return "loss";
  const std::string by = term.by.empty() ? run.recipe.placement.by : term.by;
  if (by != "auto") return by;
  std::vector<double> accuracies;
  for (const Path& path : first) accuracies.push_back(net.score(path, term.task).at("accuracy"));
  if (accuracies.empty()) return "accuracy";
  const auto items = static_cast<int>(std::ssize(run.evaluator.search_task(term.task).items));
  const bool tells = accuracy_tells(accuracies, items);
  const auto [low, high] = std::minmax_element(accuracies.begin(), accuracies.end());
  why.push_back(
      fmt::format("{} goes by its {}: over the first {} sets of the search the accuracy of {} items is {:.1f} to "
                  "{:.1f} per cent, {} than twice the variance that chance makes.",
                  term.task, tells ? "accuracy" : "loss", accuracies.size(), items, 100 * *low, 100 * *high,
                  tells ? "more" : "less"));
  return tells ? "accuracy" : "loss";
}

}  // namespace

SettledObjective settle_objective(Run& run, Supernet& net, const std::string& name,
                                  const std::vector<TaskWeight>& objective, const std::vector<Path>& first) {
  Ledger& ledger = run.folder.ledger;
  const std::string key = "objective/" + name;
  SettledObjective out{objective, {}};
  if (!ledger.has(key))
    for (TaskWeight& term : out.terms) term.by = settled_by(run, net, term, first, out.why);
  return ledger.once<SettledObjective>(key, [&] { return Json(out); });
}

SettledObjective settle_full_objective(Run& run, Supernet& net) {
  PlacementConfig& c = run.recipe.placement;
  std::vector<Path> first;
  for (const int layer : net.searched()) {
    const LayerSet alone{layer};
    const auto others = other_layers(net.searched(), alone);
    first.push_back(path_of(net.layers(), c.selector == "top down" ? LayerSet(others.begin(), others.end()) : alone));
  }
  SettledObjective out = settle_objective(run, net, "full", c.full_objective, first);
  c.full_objective = out.terms;
  return out;
}

}  // namespace jet
