// The stage blocks: every block at the found placement on one budget. Each is trained at several learning rates; the
// leaders again from other seeds, and ranked by their means:
//   score = (w1 accuracy + w2 speed + w3 memory + w4 stability) / (w1 + w2 + w3 + w4), each in [0, 1]:
//   accuracy: mean over the tasks and seeds;  speed: decode tokens/s over the fastest;  memory: the smallest cache over
//   its own;  stability: seeds that did not diverge, less the share of steps with a loss spike
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "jet/search/candidate_rows.h"
#include "jet/search/stages.h"
#include "jet/search/statistics.h"

namespace jet {

namespace {

using Layers = std::vector<MixerSpec>;

std::vector<Candidate> at_rates(const Run& run, const std::string& name, const Layers& layers) {
  std::vector<Candidate> all;
  for (double lr : run.recipe.blocks.lrs)
    all.push_back({.name = fmt::format("{}-lr{:g}", name, lr), .layers = layers, .lr = lr});
  return all;
}

// A kind at every learning rate of the recipe; the best by held-out loss, the others listed beside it.
Json best_of_rates(Run& run, const std::string& name, const Layers& layers) {
  Json best, tried = Json::array();
  for (const Candidate& c : at_rates(run, name, layers)) {
    const Json j = train_candidate(run, c);
    tried.push_back({{"lr", c.lr}, {"loss", j.at("loss")}, {"diverged", j.at("diverged")}});
    const bool better = best.is_null() || (!j.at("diverged").get<bool>() && j.at("loss") < best.at("loss"));
    if (better) best = j;
  }
  Json row = row_of(best);
  row["rates"] = tried;
  row["name"] = fmt::format("{}-lr{:g}", name, best.at("lr").get<double>());
  return row;
}

std::vector<Candidate> at_seeds(const Run& run, const Json& row, const Layers& layers) {
  std::vector<Candidate> all;
  for (int seed = 1; seed < run.recipe.blocks.seeds; ++seed)
    all.push_back({.name = fmt::format("{}-seed{}", row.at("name").get<std::string>(), seed),
                   .layers = layers,
                   .lr = row.at("lr"),
                   .seed = static_cast<uint64_t>(seed),
                   .speed = false});
  return all;
}

// Trains a row's block again from other seeds: its figures become means, "spread" the standard deviation of accuracy.
void add_seeds(Run& run, Json& row, const Layers& layers) {
  std::vector<double> scores{mean_accuracy(row)}, losses{row.at("loss")};
  std::map<std::string, std::vector<double>> tasks;
  for (const auto& [task, a] : row.at("accuracy").items()) tasks[task].push_back(a);
  int spikes = row.at("spikes"), diverged = 0;
  for (const Candidate& c : at_seeds(run, row, layers)) {
    const Json other = row_of(train_candidate(run, c));
    diverged += other.at("diverged").get<bool>();
    spikes += other.at("spikes").get<int>();
    scores.push_back(mean_accuracy(other)), losses.push_back(other.at("loss"));
    for (const auto& [task, a] : other.at("accuracy").items()) tasks[task].push_back(a);
  }
  for (const auto& [task, a] : tasks) row["accuracy"][task] = spread(a).mean;
  row["loss"] = spread(losses).mean, row["loss_spread"] = spread(losses).sd;
  row["seeds"] = run.recipe.blocks.seeds, row["seeds_diverged"] = diverged;
  row["spread"] = spread(scores).sd, row["spikes"] = spikes;
}

double stability(const Run& run, const Json& row) {
  const BudgetConfig& b = run.recipe.blocks.budget;
  const double seeds = row.value("seeds", 1);
  const auto steps = static_cast<double>(b.align.steps() + b.distill.train.steps());
  const double diverged = row.value("seeds_diverged", row.at("diverged").get<bool>() ? 1 : 0);
  return std::max(0.0, 1 - diverged / seeds - row.at("spikes").get<double>() / (seeds * steps));
}

void score_rows(const Run& run, Json& rows) {
  const ScoreWeights& w = run.recipe.blocks.weights;
  double fastest = 0, smallest = INFINITY;
  for (const auto& r : rows) {
    fastest = std::max(fastest, r.at("speedup").get<double>());
    smallest = std::min(smallest, r.at("cache_bytes").get<double>());
  }
  for (auto& r : rows) {
    r["stability"] = stability(run, r);
    r["score"] = (w.accuracy * mean_accuracy(r) + w.speed * r["speedup"].get<double>() / fastest +
                  w.memory * smallest / r["cache_bytes"].get<double>() + w.stability * r["stability"].get<double>()) /
                 (w.accuracy + w.speed + w.memory + w.stability);
  }
}

// What the branch's start is worth: the chosen block once more from its own random values.
Json compare_inheritance(Run& run, const Json& best, const Layers& layers) {
  const Json with = run.ledger.find("candidate/" + best.at("name").get<std::string>());
  const Json without = train_candidate(run, {.name = best.at("name").get<std::string>() + "-random",
                                             .layers = layers,
                                             .lr = best.at("lr"),
                                             .inherit = false,
                                             .speed = false});
  const auto part = [](const Json& j) {
    Json row = row_of(j);
    row["curve"] = j.at("distill").at("curve");
    return row;
  };
  return {{"inherited", part(with)}, {"random", part(without)}};
}

Placement uniform_placement(int layers, const Placement& like) {
  Placement p;
  p.full = uniform_layers(all_layers(layers), static_cast<int>(like.full.size()));
  p.swa = uniform_layers(other_layers(layers, p.full), static_cast<int>(like.swa.size()));
  return p;
}

}  // namespace

Json select_block(Run& run, const Placement& p) {
  const BlocksConfig& c = run.recipe.blocks;
  const auto layers_of = [&](const std::string& kind, const Placement& where) {
    return placed_layers(run, where, [&](const Attention::Config& a) { return make_mixer(kind, a); });
  };
  // The baselines have as many full and windowed layers as the placement.
  const std::string branch = run.recipe.supernet.branch;
  const Placement uniform = uniform_placement(run.base.spec.n_layers(), p);
  std::vector<std::pair<std::string, Layers>> first = {{"baseline-all-linear", layers_of(branch, {})},
                                                       {"baseline-uniform", layers_of(branch, uniform)}};
  for (const auto& kind : c.kinds) first.emplace_back("block-" + kind, layers_of(kind, p));
  std::vector<Candidate> trials;
  for (const auto& [name, layers] : first)
    for (auto& t : at_rates(run, name, layers)) trials.push_back(t);
  train_candidates(run, trials);

  Json out = {{"candidates", Json::array()}};
  out["all_linear"] = best_of_rates(run, "baseline-all-linear", layers_of(branch, {}));
  out["uniform"] = best_of_rates(run, "baseline-uniform", layers_of(branch, uniform));
  out["uniform"]["layers"] = to_json(uniform);

  Json rows = Json::array();
  for (const auto& kind : c.kinds) {
    rows.push_back(best_of_rates(run, "block-" + kind, layers_of(kind, p)));
    rows.back()["kind"] = kind;
  }
  score_rows(run, rows);
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return better_row(rows[a], rows[b]); });
  order.resize(std::min<size_t>(order.size(), c.seeds > 1 ? c.leaders : 0));
  trials.clear();
  for (const size_t i : order)
    for (auto& t : at_seeds(run, rows[i], layers_of(rows[i].at("kind"), p))) trials.push_back(t);
  train_candidates(run, trials);
  for (const size_t i : order) add_seeds(run, rows[i], layers_of(rows[i].at("kind"), p));
  score_rows(run, rows);

  Json best, best_without_jet;
  for (const auto& row : rows) {
    if (row.value("diverged", false)) continue;
    if (c.seeds > 1 && !row.contains("seeds")) continue;  // one seed does not beat the leaders' means
    if (best.is_null() || better_row(row, best)) best = row;
    if (row.at("kind") != JetBlock::kind && (best_without_jet.is_null() || better_row(row, best_without_jet))) {
      best_without_jet = row;
    }
  }
  require(!best.is_null(), "block selection: every candidate diverged; lower blocks.lrs");
  out["candidates"] = rows;
  out["best"] = best;
  out["best_without_jet"] = best_without_jet;
  out["chosen"] = best.at("kind");
  if (c.random_start) out["start"] = compare_inheritance(run, best, layers_of(best.at("kind"), p));
  return out;
}

}  // namespace jet
