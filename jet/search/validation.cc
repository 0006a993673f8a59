// The stage validation. Placements get the same training from the same base, over several seeds, and answer:
//
//   rows     Does a placement that scores well in the supernet distil well? Those that the selectors chose and random
//            ones beside them: the rank correlation of the two scores.
//   curve    What is the search worth? At every number of full layers the selector's placement against the evenly
//            spaced one.
#include <algorithm>
#include <map>

#include "jet/base/rng.h"
#include "jet/search/candidates.h"
#include "jet/search/selectors/objective.h"
#include "jet/search/stages.h"
#include "jet/search/statistics.h"

namespace jet {

namespace {

struct Placed {
  LayerSet layers;
  int seeds;                    // it is distilled from
  std::vector<std::string> by;  // selectors
};

// Distinct sets of k layers: the selectors' first, then random ones, as many as asked for and as there are.
std::vector<Placed> placements(const Run& run, const PlacementResult& placement) {
  const ValidationConfig& c = run.recipe.validation;
  std::vector<Placed> rows;
  const auto k = static_cast<size_t>(placement.k);
  for (const auto& s : placement.selectors) {
    if (s.layers.size() != k) continue;
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const Placed& r) { return r.layers == s.layers; });
    same == rows.end() ? rows.push_back({s.layers, c.seeds, {s.name}}) : same->by.push_back(s.name);
  }
  const auto all = searched_layers(run);
  double sets = 1;
  for (size_t i = 0; i < k; ++i) sets = sets * static_cast<double>(all.size() - i) / static_cast<double>(i + 1);
  const auto wanted = static_cast<size_t>(std::min<double>(c.placements, std::round(sets)));
  if (rows.size() > wanted) rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(wanted), rows.end());
  for (int draw = 1; rows.size() < wanted; ++draw) {
    const LayerSet layers = random_layers(all, static_cast<int>(k), run.recipe.seed, draw);
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const Placed& r) { return r.layers == layers; });
    if (!known) rows.push_back({layers, c.seeds_of_random(), {}});
  }
  return rows;
}

// What some seeds of one placement came to after distillation.
struct Distilled {
  std::vector<double> objective, answers, loss;
  std::map<std::string, std::vector<double>> tasks;
};

std::vector<Candidate> seeds_of(const Run& run, const Placed& placed) {
  const ValidationConfig& c = run.recipe.validation;
  const LayerSet& full = placed.layers;
  const auto layers =
      placed_layers(run, {full, {}}, [&](const auto& a) { return make_mixer(run.recipe.supernet.branch, a); });
  const std::string name = full.empty() ? "none" : fmt::to_string(fmt::join(full, "-"));
  std::vector<Candidate> all;
  for (int seed = 1; seed <= placed.seeds; ++seed)
    all.push_back({.name = fmt::format("validation-{}-{}", name, seed),
                   .layers = layers,
                   .lr = c.lr,
                   .seed = static_cast<uint64_t>(seed),
                   .budget = &c.budget,
                   .speed = false});
  return all;
}

void distil_all(Run& run, const std::vector<Placed>& sets, const std::function<void()>& so_far) {
  std::vector<Candidate> trials;
  for (const auto& placed : sets)
    for (auto& c : seeds_of(run, placed)) trials.push_back(c);
  train_candidates(run, trials, so_far);
}

bool is_distilled(const Run& run, const Placed& placed) {
  const auto all = seeds_of(run, placed);
  return std::all_of(all.begin(), all.end(), [&](const Candidate& c) {
    const auto r = find_candidate(run, c);
    return r && !r->diverged;
  });
}

Distilled distil(Run& run, const Placed& placed) {
  Distilled d;
  for (const Candidate& c : seeds_of(run, placed)) {
    const CandidateResult r = train_candidate(run, c);
    require(!r.diverged, "{}: the loss stopped being finite; lower validation.lr", c.name);
    const auto of = [&](const std::string& task) {  // a distilled model's own loss stands where a path has its KL
      return task == kKlTask ? Json{{"nll", r.loss}} : r.tasks.at(task);
    };
    const Score own = objective_score(run.recipe.placement.full_objective, of);
    d.objective.push_back(own.accuracy), d.answers.push_back(own.nll), d.loss.push_back(r.loss);
    for (const auto& [task, score] : r.tasks) d.tasks[task].push_back(score.at("accuracy"));
  }
  return d;
}

MeanSd mean_sd(const std::vector<double>& x) { return {spread(x).mean, spread(x).sd}; }

ValidationRow validation_row(const Placed& c, const Score& supernet, const Distilled& d) {
  const MeanSd accuracy = mean_sd(d.objective), loss = mean_sd(d.loss);
  return {c.layers,    c.by,        supernet.accuracy, supernet.nll, accuracy.mean,
          accuracy.sd, d.objective, loss.mean,         loss.sd,      spread(d.answers).mean};
}

std::vector<Score> scores_of(Run& run, Supernet& net, const std::vector<LayerSet>& sets) {
  std::vector<Score> out;
  for (const LayerSet& s : sets)
    out.push_back(objective_score(net, path_of(net.layers(), s), run.recipe.placement.full_objective));
  return out;
}

// How well a supernet's scores predict the rows, distilled.
SamplingResult prediction(const std::vector<Score>& scores, const std::vector<ValidationRow>& rows) {
  SamplingResult out;
  std::vector<double> own, distilled, answers, losses;
  for (size_t i = 0; i < rows.size(); ++i) {
    out.scores.push_back(scores[i].accuracy), out.losses.push_back(scores[i].nll);
    own.push_back(scores[i].as_number()), distilled.push_back(rows[i].as_number());
    answers.push_back(rows[i].answers_loss), losses.push_back(-rows[i].loss);
  }
  out.spearman = spearman(own, distilled), out.spearman_answers = spearman(out.losses, answers);
  out.spearman_loss = spearman(own, losses);
  return out;
}

void correlate(Run& run, Supernet& net, ValidationResult& out) {
  const auto all = placements(run, run.folder.ledger.result<PlacementResult>("placement"));
  std::vector<LayerSet> sets;
  for (const Placed& p : all) sets.push_back(p.layers);
  const std::vector<Score> scores = scores_of(run, net, sets);
  net.forget();
  const auto rows_so_far = [&] {
    out.rows.emplace();
    for (size_t i = 0; i < all.size(); ++i)
      if (is_distilled(run, all[i])) out.rows->push_back(validation_row(all[i], scores[i], distil(run, all[i])));
    return Json(out);
  };
  distil_all(run, all, [&] { run.watch.found("validation", rows_so_far); });
  out.rows.emplace();
  for (size_t i = 0; i < all.size(); ++i) out.rows->push_back(validation_row(all[i], scores[i], distil(run, all[i])));
  const SamplingResult own = prediction(scores, *out.rows);
  out.spearman = own.spearman, out.spearman_loss = own.spearman_loss;
}

// The recipe's own supernet beside those of other paths, which have its alignment and as many tokens of paths.
void compare_samplings(Run& run, ValidationResult& out) {
  std::vector<LayerSet> sets;
  std::vector<Score> own;
  for (const ValidationRow& row : *out.rows)
    sets.push_back(row.layers), own.push_back({row.supernet, row.supernet_loss});
  out.samplings.emplace();
  for (const auto& paths : run.recipe.validation.samplings) {
    const bool known = paths == run.recipe.supernet.paths;
    std::vector<Score> scores = own;
    SupernetResult trained;
    if (known) {
      trained = run.folder.ledger.result<SupernetResult>("supernet");
    } else {
      const auto claim = run.folder.ledger.claim("supernet training on " + paths);
      Supernet net(run, paths);
      trained = net.train(), scores = scores_of(run, net, sets);
    }
    SamplingResult r = prediction(scores, *out.rows);
    r.paths = paths, r.tokens = trained.paths.tokens, r.seconds = trained.paths.seconds;
    out.samplings->push_back(r);
    run.watch.found("validation", [&] { return Json(out); });
  }
}

CurvePoint::Side side(Run& run, const Placed& placed) {
  const Distilled d = distil(run, placed);
  CurvePoint::Side out;
  out.layers = placed.layers, out.loss = mean_sd(d.loss);
  for (const auto& [task, a] : d.tasks) out.tasks.add(task, mean_sd(a));
  return out;
}

void gain_by_count(Run& run, Supernet& net, ValidationResult& out) {
  const auto& all = net.searched();
  const auto& curve = run.recipe.validation.curve;
  const int seeds = run.recipe.validation.seeds;
  std::vector<Placed> sets;  // searched and uniform, turn about
  for (const int k : curve) {
    SelectionInput in(run, net, all, k);
    const bool choice = 0 < k && k < std::ssize(all);
    const LayerSet searched = choice ? select_layers(run.recipe.placement.selector, in).layers : uniform_layers(all, k);
    sets.push_back({searched, seeds, {}}), sets.push_back({uniform_layers(all, k), seeds, {}});
  }
  net.forget();
  const auto add_point = [&](size_t i) {
    out.curve->push_back({curve[i], side(run, sets[2 * i]), side(run, sets[2 * i + 1])});
  };
  const auto points_so_far = [&] {
    out.curve.emplace();
    for (size_t i = 0; i < curve.size(); ++i)
      if (is_distilled(run, sets[2 * i]) && is_distilled(run, sets[2 * i + 1])) add_point(i);
    return Json(out);
  };
  distil_all(run, sets, [&] { run.watch.found("validation", points_so_far); });
  out.curve.emplace();
  for (size_t i = 0; i < curve.size(); ++i) add_point(i);
}

}  // namespace

std::optional<ValidationResult> validate_placements(Run& run, Supernet& net) {
  const ValidationConfig& c = run.recipe.validation;
  if (c.placements == 0 && c.curve.empty()) return std::nullopt;
  settle_full_objective(run, net);
  ValidationResult out;
  out.seeds = c.seeds, out.objective = objective_text(run.recipe.placement.full_objective);
  if (c.placements > 0) correlate(run, net, out);
  if (!c.samplings.empty()) compare_samplings(run, out);
  if (!c.curve.empty()) gain_by_count(run, net, out);
  return out;
}

}  // namespace jet
