// The stages heat_map and placement.
#include <algorithm>

#include "jet/search/baselines.h"
#include "jet/search/selectors/objective.h"
#include "jet/search/stages.h"

namespace jet {

// Cells that are not measured yet are NaN, which JSON has as null.
HeatMap heat_map(Run& run, Supernet& net) {
  HeatMap out;
  out.layers = net.layers();
  for (const auto& t : run.evaluator.search_tasks()) {
    out.tasks.push_back(t.name);
    out.value.emplace_back(out.layers, NAN), out.loss.emplace_back(out.layers, NAN);
  }
  for (size_t t = 0; t < out.tasks.size(); ++t) {
    const std::string& name = out.tasks[t];
    const auto score = [&](const Path& p) { return net.score(p, name); };
    out.all_linear.add(name, score(path_of(out.layers, {})).at("accuracy"));
    out.base.add(name, score(Path(out.layers, Branch::full)).at("accuracy"));
    for (const int i : net.searched()) {
      const Json j = score(path_of(out.layers, {i}));
      out.value[t][i] = j.at("accuracy"), out.loss[t][i] = j.at("nll");
      run.watch.found("heat_map", [&] { return Json(out); });
    }
  }
  net.forget();
  return out;
}

namespace {

// Layers as a row of the table, judged by the common objective.
SelectedRow scored_row(Run& run, Supernet& net, const std::string& name, const LayerSet& full) {
  const Score score = objective_score(net, path_of(net.layers(), full), run.recipe.placement.full_objective);
  SelectedRow row;
  row.name = name, row.layers = full, row.score = score.accuracy, row.loss = score.nll;
  return row;
}

// What no training at all gives: its layers are none of those that are placed.
SelectedRow sinks_scored(Run& run) {
  const Score score = objective_score(run.recipe.placement.full_objective,
                                      [&](const std::string& task) { return sinks_term(run, task); });
  SelectedRow row;
  row.name = sinks_name(run), row.score = score.accuracy, row.loss = score.nll, row.note = "everywhere, untrained";
  return row;
}

SelectedRow run_selector(Run& run, Supernet& net, const std::string& name, const BeamSoFar& so_far) {
  SelectionInput in(run, net, net.searched(), run.recipe.placement.full);
  in.so_far = so_far;
  const Selected s = select_layers(name, in);
  SelectedRow row = scored_row(run, net, name, s.layers);
  row.spent = in.spent, row.trace = s.trace, row.note = s.note;
  return row;
}

// A beam of layers that no selector chooses; `score` on all items, or on those up to a round's.
Selection beam_by_halves(const Run& run, const std::vector<int>& allowed, int k,
                         const std::function<Score(const LayerSet&, std::optional<int> round)>& score,
                         const BeamSoFar& so_far = {}) {
  const LayerBeamOptions o{
      .width = run.recipe.placement.beam, .so_far = so_far, .rounds = {run.evaluator.rounds(), score}};
  return beam_search(allowed, k, o, [&](const LayerSet& s) { return score(s, {}); });
}

// Windows go by their own objective among the layers that are not full.
ChosenLayers place_windows(Run& run, Supernet& net, const LayerSet& full, const BeamSoFar& so_far) {
  PlacementConfig& c = run.recipe.placement;
  std::vector<Path> first;
  if (c.swa > 0)
    for (const int l : other_layers(net.searched(), full)) first.push_back(path_of(net.layers(), full, {l}));
  c.swa_objective = settle_objective(run, net, "swa", c.swa_objective, first).terms;
  const auto score = [&](const LayerSet& windows, std::optional<int> round) {
    return objective_score(net, path_of(net.layers(), full, windows), c.swa_objective, round);
  };
  const Selection s = beam_by_halves(run, other_layers(net.searched(), full), c.swa, score, so_far);
  return {s.layers, objective_text(c.swa_objective), c.window, s.trace};
}

// Of the layers that are left linear, those whose mixer is missed least by both objectives together.
ChosenLayers eliminate_layers(Run& run, Supernet& net, const Placement& p) {
  const PlacementConfig& c = run.recipe.placement;
  std::vector<TaskWeight> both = c.full_objective;
  both.insert(both.end(), c.swa_objective.begin(), c.swa_objective.end());
  LayerSet kept = p.full;
  kept.insert(p.swa.begin(), p.swa.end());
  const auto score = [&](const LayerSet& none, std::optional<int> round) {
    return objective_score(net, path_of(net.layers(), p.full, p.swa, none), both, round);
  };
  const Selection s = beam_by_halves(run, other_layers(net.searched(), kept), c.eliminate, score);
  return {s.layers, objective_text(both), std::nullopt, s.trace};
}

// A stage at work has no choice yet.
Json placement_so_far(const PlacementResult& out) {
  Json j = out;
  if (out.full.empty()) j.erase("full");
  if (out.swa.trace.empty()) j.erase("swa");
  j.erase("chosen");
  return j;
}

// Where every set of layers has been scored: how many there are, and how many are better than each row's.
void add_ranks(const PlacementConfig& c, Supernet& net, PlacementResult& out) {
  const Exhaustive every = exhaustive_search(net.searched(), c.full, [&](const LayerSet& s) {
    return objective_score(net, path_of(net.layers(), s), c.full_objective);
  });
  out.exhaustive_count = std::ssize(every.all);
  for (auto& row : out.selectors)
    if (std::ssize(row.layers) == c.full) row.rank = every.rank(row.as_score());
}

}  // namespace

PlacementResult find_placement(Run& run, Supernet& net) {
  const PlacementConfig& c = run.recipe.placement;
  const auto& all = net.searched();
  const auto names = asked_selectors(c);
  PlacementResult out;
  out.why = settle_full_objective(run, net).why;
  out.k = c.full, out.objective = objective_text(c.full_objective), out.selector = c.selector;
  const auto tell = [&](std::vector<BeamDepth>& at, const std::function<std::vector<BeamDepth>()>& trace) {
    run.watch.found("placement", [&] {
      at = trace();
      return placement_so_far(out);
    });
  };
  const BeamSoFar unshown = [&](const auto&) { run.watch.found("placement", [&] { return placement_so_far(out); }); };
  for (const auto& name : names) {
    const bool shown = name == c.selector;
    const BeamSoFar chosen = [&](const auto& trace) { tell(out.beam ? *out.beam : out.beam.emplace(), trace); };
    out.selectors.push_back(run_selector(run, net, name, shown ? chosen : unshown));
    if (shown && out.beam) out.beam = out.selectors.back().trace->beam;
  }
  out.selectors.push_back(sinks_scored(run));
  out.selectors.push_back(scored_row(run, net, "all linear", {}));
  out.selectors.push_back(scored_row(run, net, "all full", LayerSet(all.begin(), all.end())));
  if (std::find(names.begin(), names.end(), "exhaustive") != names.end()) add_ranks(c, net, out);
  const SelectedRow& chosen = out.selectors.front();
  out.full = chosen.layers;
  out.swa = place_windows(run, net, out.full, [&](const auto& trace) { tell(out.swa.trace, trace); });
  out.chosen = {out.full, out.swa.layers};
  if (c.eliminate > 0) {
    out.eliminated = eliminate_layers(run, net, out.chosen);
    out.chosen.none = out.eliminated->layers;
  }
  net.forget();
  return run.folder.ledger.once<PlacementResult>("placement", [&] { return out; });
}

}  // namespace jet
