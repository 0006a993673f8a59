// The stages heat_map and placement.
#include "jet/base/progress.h"
#include "jet/search/selectors/selector.h"
#include "jet/search/stages.h"

namespace jet {

Json heat_map(Run& run, Supernet& net) {
  const int n = net.layers();
  Json out = {{"tasks", Json::array()}, {"layers", n},      {"value", Json::array()},
              {"loss", Json::array()},  {"all_linear", {}}, {"base", {}}};
  Progress progress("heat map", static_cast<int64_t>(run.search_tasks.size()) * (n + 2), "paths");
  int64_t done = 0;
  const auto evaluate = [&](const Path& p, const std::string& task) {
    const Json j = net.score(p, task);
    progress.update(++done);
    return j;
  };
  for (const auto& t : run.search_tasks) {
    Json value = Json::array(), loss = Json::array();
    for (int i = 0; i < n; ++i) {
      const Json j = evaluate(path_of(n, {i}), t.name);
      value.push_back(j.at("accuracy"));
      loss.push_back(j.at("nll"));
    }
    out["tasks"].push_back(t.name);
    out["value"].push_back(value);
    out["loss"].push_back(loss);
    out["all_linear"][t.name] = evaluate(path_of(n, {}), t.name).at("accuracy");
    out["base"][t.name] = evaluate(Path(n, Branch::full), t.name).at("accuracy");
  }
  progress.finish();
  return out;
}

namespace {

// Layers as a row of the table, judged by the common objective.
Json scored_row(Run& run, Supernet& net, const std::string& name, const LayerSet& full) {
  const Score score = objective_score(net, path_of(net.layers(), full), run.recipe.placement.full_objective);
  return {{"name", name}, {"layers", full}, {"score", score.accuracy}, {"loss", score.nll}};
}

Json run_selector(Run& run, Supernet& net, const std::string& name) {
  SelectionInput in(run, net, all_layers(net.layers()), run.recipe.placement.full);
  const Selected s = selector_named(name).select(in);
  Json row = scored_row(run, net, name, s.layers);
  row.update({{"spent", in.spent.to_json()}, {"trace", s.trace}, {"note", s.note}});
  return row;
}

// Windows go by their own objective among the layers that are not full.
Selection place_windows(Run& run, Supernet& net, const LayerSet& full) {
  const PlacementConfig& c = run.recipe.placement;
  return beam_search(other_layers(net.layers(), full), c.swa, {.width = c.beam}, [&](const LayerSet& s) {
    return objective_score(net, path_of(net.layers(), full, s), c.swa_objective);
  });
}

}  // namespace

Json find_placement(Run& run, Supernet& net) {
  const PlacementConfig& c = run.recipe.placement;
  const int n = net.layers();
  require(c.full + c.swa <= n, "placement: {} full and {} swa layers asked for, the base has {}", c.full, c.swa, n);
  std::vector<std::string> names{c.selector};
  for (const auto& name : c.selectors)
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  Progress progress("placement search", static_cast<int64_t>(names.size()), "selectors");
  Json out = {{"k", c.full}, {"objective", objective_text(c.full_objective)}, {"selectors", Json::array()}};
  for (size_t i = 0; i < names.size(); ++i) {
    out["selectors"].push_back(run_selector(run, net, names[i]));
    progress.update(static_cast<int64_t>(i) + 1);
  }
  const auto all = all_layers(n);
  out["selectors"].push_back(scored_row(run, net, "all linear", {}));
  out["selectors"].push_back(scored_row(run, net, "all full", LayerSet(all.begin(), all.end())));
  const Json& chosen = out["selectors"][0];
  const auto full = chosen.at("layers").get<LayerSet>();
  const auto score_of = [](const Json& row) { return Score{row.at("score"), row.at("loss")}; };
  if (std::find(names.begin(), names.end(), "exhaustive") != names.end()) {
    const Exhaustive every = exhaustive_search(
        all, c.full, [&](const LayerSet& s) { return objective_score(net, path_of(n, s), c.full_objective); });
    out["exhaustive_count"] = every.all.size();
    for (auto& row : out["selectors"])
      if (row.at("layers").size() == static_cast<size_t>(c.full)) row["rank"] = every.rank(score_of(row));
  }
  const Selection swa = place_windows(run, net, full);
  if (chosen.at("trace").is_array() && c.selector.starts_with("beam")) out["beam"] = chosen.at("trace");
  out["selector"] = c.selector;
  out["swa"] = {{"layers", swa.layers},
                {"objective", objective_text(c.swa_objective)},
                {"window", c.window},
                {"trace", swa.trace}};
  out["full"] = full;
  out["chosen"] = to_json(Placement{full, swa.layers});
  progress.finish();
  return run.ledger.once("placement", [&] { return out; });
}

}  // namespace jet
