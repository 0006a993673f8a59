// The stage validation: does a placement that scores well in the supernet distil well? The placements that the
// selectors chose, and random ones beside them, all get the same training from the same base, over several seeds; the
// rank correlation of the two scores is the answer.
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

// An objective's accuracy of a trained candidate, ties broken by the loss of the answers.
double distilled_score(const Json& candidate, const std::vector<TaskWeight>& objective, double& accuracy) {
  double nll = 0, total = 0;
  accuracy = 0;
  for (const auto& o : objective) {
    accuracy += o.weight * candidate.at("tasks").at(o.task).at("accuracy").get<double>();
    nll += o.weight * candidate.at("tasks").at(o.task).at("nll").get<double>();
    total += o.weight;
  }
  accuracy /= total;
  return accuracy - 1e-6 * nll / total;
}

}  // namespace

Json validate_placements(Run& run, Supernet& net) {
  const ValidationConfig& c = run.recipe.validation;
  if (c.placements == 0) return nullptr;
  const auto& objective = run.recipe.placement.full_objective;
  const std::string branch = run.recipe.supernet.branch;
  Json rows = Json::array();
  std::vector<double> supernet, distilled, loss;
  for (const Row& row : placements(run, run.ledger.find("placement"))) {
    const Score score = objective_score(net, path_of(net.layers(), row.layers), objective);
    const auto layers = placed_layers(run, {row.layers, {}}, [&](const auto& a) { return make_mixer(branch, a); });
    std::vector<double> ranked, accuracies, losses;
    for (int seed = 1; seed <= c.seeds; ++seed) {
      const Json j = train_candidate(run, {.name = fmt::format("validation-{}-{}", fmt::join(row.layers, "-"), seed),
                                           .layers = layers,
                                           .lr = c.lr,
                                           .seed = static_cast<uint64_t>(seed),
                                           .budget = &c.budget,
                                           .speed = false});
      double accuracy = 0;
      ranked.push_back(distilled_score(j, objective, accuracy));
      accuracies.push_back(accuracy), losses.push_back(j.at("loss"));
    }
    supernet.push_back(score.accuracy - 1e-6 * score.nll);
    distilled.push_back(spread(ranked).mean), loss.push_back(-spread(losses).mean);
    rows.push_back({{"layers", row.layers},
                    {"chosen_by", row.chosen_by},
                    {"supernet", score.accuracy},
                    {"supernet_loss", score.nll},
                    {"accuracy", spread(accuracies).mean},
                    {"accuracy_sd", spread(accuracies).sd},
                    {"accuracies", accuracies},
                    {"loss", spread(losses).mean},
                    {"loss_sd", spread(losses).sd}});
  }
  return {{"rows", rows},
          {"seeds", c.seeds},
          {"objective", objective_text(objective)},
          {"spearman", spearman(supernet, distilled)},
          {"spearman_loss", spearman(supernet, loss)}};
}

}  // namespace jet
