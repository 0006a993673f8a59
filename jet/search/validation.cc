// The stage validation. Placements get the same training from the same base, over several seeds, and answer:
// - Does a placement that scores well in the supernet distil well? Those that the selectors chose, and random ones
// beside
//   them: the rank correlation of the two scores.
// - What is the search worth? At every number of full layers the selector's placement against the evenly spaced one.
#include <algorithm>
#include <map>

#include "jet/base/rng.h"
#include "jet/search/selectors/selector.h"
#include "jet/search/stages.h"
#include "jet/search/statistics.h"
#include "jet/search/student.h"

namespace jet {

namespace {

struct Row {
  LayerSet layers;
  std::vector<std::string> chosen_by;
};

// Distinct sets of k layers: the selectors' first, then random ones, as many as asked for and as there are.
std::vector<Row> placements(const Run& run, const Json& placement) {
  std::vector<Row> rows;
  const auto k = placement.at("k").get<size_t>();
  for (const auto& s : placement.at("selectors")) {
    const auto layers = s.at("layers").get<LayerSet>();
    if (layers.size() != k) continue;
    const auto name = s.at("name").get<std::string>();
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.layers == layers; });
    same == rows.end() ? rows.push_back({layers, {name}}) : same->chosen_by.push_back(name);
  }
  const auto all = all_layers(run.base.spec.n_layers());
  double sets = 1;
  for (size_t i = 0; i < k; ++i) sets = sets * static_cast<double>(all.size() - i) / static_cast<double>(i + 1);
  const auto wanted = static_cast<size_t>(std::min<double>(run.recipe.validation.placements, std::round(sets)));
  for (int draw = 1; rows.size() < wanted; ++draw) {
    const LayerSet layers = random_layers(all, static_cast<int>(k), run.recipe.seed, draw);
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const Row& r) { return r.layers == layers; });
    if (!known) rows.push_back({layers, {}});
  }
  return rows;
}

// What some seeds of one placement came to after distillation.
struct Distilled {
  std::vector<double> objective, ranked, loss;
  std::map<std::string, std::vector<double>> tasks;
};

std::vector<Candidate> seeds_of(const Run& run, const LayerSet& full) {
  const ValidationConfig& c = run.recipe.validation;
  const auto layers =
      placed_layers(run, {full, {}}, [&](const auto& a) { return make_mixer(run.recipe.supernet.branch, a); });
  const std::string name = full.empty() ? "none" : fmt::to_string(fmt::join(full, "-"));
  std::vector<Candidate> all;
  for (int seed = 1; seed <= c.seeds; ++seed)
    all.push_back({.name = fmt::format("validation-{}-{}", name, seed),
                   .layers = layers,
                   .lr = c.lr,
                   .seed = static_cast<uint64_t>(seed),
                   .budget = &c.budget,
                   .speed = false});
  return all;
}

void distil_all(Run& run, const std::vector<LayerSet>& sets) {
  std::vector<Candidate> trials;
  for (const auto& full : sets)
    for (auto& c : seeds_of(run, full)) trials.push_back(c);
  train_candidates(run, trials);
}

Distilled distil(Run& run, const LayerSet& full) {
  Distilled d;
  for (const Candidate& c : seeds_of(run, full)) {
    const Json j = train_candidate(run, c);
    const auto of = [&](const std::string& task) { return j.at("tasks").at(task); };
    const Score own = objective_score(run.recipe.placement.full_objective, of);
    d.objective.push_back(own.accuracy), d.ranked.push_back(own.as_number()), d.loss.push_back(j.at("loss"));
    for (const auto& [task, score] : j.at("tasks").items()) d.tasks[task].push_back(score.at("accuracy"));
  }
  return d;
}

Json correlate(Run& run, Supernet& net) {
  Json rows = Json::array();
  std::vector<double> supernet, distilled, loss;
  const auto all = placements(run, run.ledger.find("placement"));
  std::vector<LayerSet> sets;
  for (const Row& row : all) sets.push_back(row.layers);
  distil_all(run, sets);
  for (const Row& row : all) {
    const Score score = objective_score(net, path_of(net.layers(), row.layers), run.recipe.placement.full_objective);
    const Distilled d = distil(run, row.layers);
    supernet.push_back(score.as_number());
    distilled.push_back(spread(d.ranked).mean), loss.push_back(-spread(d.loss).mean);
    rows.push_back({{"layers", row.layers},
                    {"chosen_by", row.chosen_by},
                    {"supernet", score.accuracy},
                    {"supernet_loss", score.nll},
                    {"accuracy", spread(d.objective).mean},
                    {"accuracy_sd", spread(d.objective).sd},
                    {"accuracies", d.objective},
                    {"loss", spread(d.loss).mean},
                    {"loss_sd", spread(d.loss).sd}});
  }
  return {{"rows", rows}, {"spearman", spearman(supernet, distilled)}, {"spearman_loss", spearman(supernet, loss)}};
}

Json point(Run& run, const LayerSet& full) {
  const Distilled d = distil(run, full);
  Json tasks = Json::object();
  for (const auto& [task, a] : d.tasks) tasks[task] = {{"mean", spread(a).mean}, {"sd", spread(a).sd}};
  return {{"layers", full}, {"tasks", tasks}, {"loss", {{"mean", spread(d.loss).mean}, {"sd", spread(d.loss).sd}}}};
}

// [{"k", "searched", "uniform"}]
Json gain_by_count(Run& run, Supernet& net) {
  const auto all = all_layers(net.layers());
  Json points = Json::array();
  std::vector<LayerSet> sets;  // searched and uniform, turn about
  for (const int k : run.recipe.validation.curve) {
    SelectionInput in(run, net, all, k);
    const bool choice = 0 < k && k < net.layers();
    const LayerSet searched =
        choice ? selector_named(run.recipe.placement.selector).select(in).layers : uniform_layers(all, k);
    sets.push_back(searched), sets.push_back(uniform_layers(all, k));
  }
  distil_all(run, sets);
  for (size_t i = 0; i < sets.size(); i += 2) {
    points.push_back({{"k", run.recipe.validation.curve[i / 2]},
                      {"searched", point(run, sets[i])},
                      {"uniform", point(run, sets[i + 1])}});
  }
  return points;
}

}  // namespace

Json validate_placements(Run& run, Supernet& net) {
  const ValidationConfig& c = run.recipe.validation;
  if (c.placements == 0 && c.curve.empty()) return nullptr;
  for (const int k : c.curve)
    require(0 <= k && k <= net.layers(), "validation.curve: {} full layers of {}", k, net.layers());
  Json out = {{"seeds", c.seeds}, {"objective", objective_text(run.recipe.placement.full_objective)}};
  if (c.placements > 0) out.update(correlate(run, net));
  if (!c.curve.empty()) out["curve"] = gain_by_count(run, net);
  return out;
}

}  // namespace jet
