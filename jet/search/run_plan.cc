#include "jet/search/run_plan.h"

#include <algorithm>

#include "jet/search/halving.h"
#include "jet/search/selectors/selector.h"
#include "jet/search/supernet.h"

namespace jet {

namespace {

double tokens_of(const TrainConfig& c) { return static_cast<double>(c.steps() * c.tokens_per_step()); }

double speed_passes(const Recipe& r, double context, int engines) {
  const SpeedConfig& s = r.speed;
  return engines * (context + (s.repeats + 1.0) * (s.prefill + s.decode));
}

double speed_table_passes(const Recipe& r, int engines) {
  double sum = 0;
  for (const int64_t context : r.speed.contexts) sum += speed_passes(r, static_cast<double>(context), engines);
  return sum;
}

// What paths have in common is run once.
double path_share(const Run& run) { return shared_layers_of(run).expected_share(run.teacher.spec().n_layers()); }

// Adds `n` paths of each round to be scored by an objective; their KL is asked once, and of whole paths.
void add_paths(StageWork& p, const Run& run, const std::vector<TaskWeight>& objective, const std::vector<int64_t>& n) {
  const bool counted = std::string_view(p.unit) == "paths";
  for (const auto& o : objective) {
    for (size_t r = 0; r < n.size(); ++r) {
      const bool kl = o.task == kKlTask;
      const Task part = kl ? Task{} : run.evaluator.search_round(o.task, static_cast<int>(r));
      if (kl ? r > 0 : part.items.empty()) continue;
      const auto times = static_cast<double>(n[r]);
      p[WorkKind::paths] += times * (kl ? 2.0 * static_cast<double>(probe_tokens(run.recipe))
                                        : path_share(run) * static_cast<double>(query_tokens(part)));
      if (counted) p.units += n[r];
    }
  }
}

// How many of `paths` each round asks, of which a beam's `depths` are halved (halving.h), and all others are asked all.
std::vector<int64_t> asked_of(const Run& run, int64_t paths, const std::vector<AskedDepth>& depths = {}) {
  const auto rounds = std::ssize(run.evaluator.rounds());
  std::vector<int64_t> asked(rounds, paths);
  for (const AskedDepth& d : depths) {
    const auto its = asked_by_round(d.sets, rounds, d.wanted);
    for (int64_t r = 0; r < rounds; ++r) asked[r] += its[r] - d.sets;
  }
  return asked;
}

// Adds `n` candidates with a block, each evaluated.
void add_candidates(StageWork& p, const Run& run, const BudgetConfig& budget, const std::string& block, int64_t n) {
  const auto times = static_cast<double>(n);
  if (!is_window(block)) p[WorkKind::align] += times * align_passes(budget.align);
  p[WorkKind::distill] += times * distill_passes(budget.distill);
  p[WorkKind::scores] += times * static_cast<double>(run.evaluator.tokens());
  if (std::string_view(p.unit) == "trainings") p.units += n;
}

// Adds what a selector asks for at most: paths of the whole objective, and trainings.
void add_selector(StageWork& p, const Run& run, const std::string& name, int k) {
  const PlacementConfig& c = run.recipe.placement;
  const SelectorBound most = select_at_most(name, std::ssize(searched_layers(run)), k, c);
  add_paths(p, run, c.full_objective, asked_of(run, most.paths, most.depths));
  if (most.gates) p[WorkKind::gates] += gates_passes(c.gates.train);
}

StageWork plan_base(const Run& run, const char* stage) {
  StageWork p{stage, "items", run.evaluator.reported_items()};
  const bool final = stage == std::string_view("final");
  p[WorkKind::engine] = static_cast<double>(run.evaluator.tokens()) + speed_table_passes(run.recipe, final ? 2 : 1);
  if (final) p[WorkKind::scores] = 3 * static_cast<double>(run.evaluator.tokens());  // each kind of mixer off
  return p;
}

StageWork plan_supernet(const Run& run) {
  if (!run.recipe.supernet.trains()) return {"supernet", "tokens", 0};
  const BudgetConfig& b = run.recipe.supernet.budget;
  StageWork p{"supernet", "tokens", static_cast<int64_t>(tokens_of(b.align) + tokens_of(b.distill.train))};
  p[WorkKind::align] = align_passes(b.align), p[WorkKind::distill] = distill_passes(b.distill);
  return p;
}

StageWork plan_heat_map(const Run& run) {
  StageWork p{"heat_map", "paths", 0};
  const int64_t paths = std::ssize(searched_layers(run)) + 2;
  for (const auto& t : run.evaluator.search_tasks())
    add_paths(p, run, {TaskWeight{.task = t.name}}, asked_of(run, paths));
  return p;
}

StageWork plan_placement(const Run& run) {
  const PlacementConfig& c = run.recipe.placement;
  StageWork p{"placement", "paths", 0};
  std::vector<std::string> names = asked_selectors(c);
  for (const auto& name : names) add_selector(p, run, name, c.full);
  const int64_t n = std::ssize(searched_layers(run));
  // The rows of the table, and what the objectives are settled by.
  add_paths(p, run, c.full_objective, asked_of(run, std::ssize(names) + 2 + n));
  const auto of_beam = [&](int64_t layers, int64_t k) {
    return asked_of(run, beam_evaluations(layers, k, c.beam), beam_depths(layers, k, c.beam));
  };
  if (c.swa > 0) {
    add_paths(p, run, c.swa_objective, asked_of(run, n - c.full));
    add_paths(p, run, c.swa_objective, of_beam(n - c.full, c.swa));
  }
  for (const auto* objective : {&c.full_objective, &c.swa_objective})
    add_paths(p, run, *objective, of_beam(n - c.full - c.swa, c.eliminate));
  return p;
}

StageWork plan_validation(const Run& run) {
  const ValidationConfig& c = run.recipe.validation;
  StageWork p{"validation", "trainings", 0};
  const int64_t chosen = std::min<int64_t>(c.placements, std::ssize(run.recipe.placement.selectors) + 1);
  add_candidates(p, run, c.budget, run.recipe.supernet.branch,
                 c.seeds * (chosen + 2 * std::ssize(c.curve)) + c.seeds_of_random() * (c.placements - chosen));
  for (const int k : c.curve) add_selector(p, run, run.recipe.placement.selector, k);
  for (const auto& paths : c.samplings) {
    if (paths == run.recipe.supernet.paths) continue;
    p[WorkKind::distill] += distill_passes(run.recipe.supernet.budget.distill);
    add_paths(p, run, run.recipe.placement.full_objective, asked_of(run, c.placements));
  }
  return p;
}

StageWork plan_blocks(const Run& run) {
  const BlocksConfig& c = run.recipe.blocks;
  StageWork p{"blocks", "trainings", 0};
  const auto kinds = std::ssize(c.kinds), baselines = int64_t{run.recipe.placement.eliminate > 0 ? 4 : 3};
  const auto rates = [&](const std::string& block) { return is_window(block) ? 1 : std::ssize(c.lrs); };
  for (const auto& block : c.kinds) add_candidates(p, run, c.budget, block, rates(block));
  const std::string& branch = run.recipe.supernet.branch;
  add_candidates(p, run, c.budget, branch, baselines * rates(branch));
  const int64_t leaders = std::min<int64_t>(c.leaders, kinds);
  add_candidates(p, run, c.budget, c.kinds.front(), leaders * (c.seeds - 1) + (c.random_start ? 1 : 0));
  p[WorkKind::engine] = static_cast<double>(kinds + baselines) * candidate_speed_passes(run.recipe);
  p[WorkKind::scores] += 2 * static_cast<double>(run.evaluator.tokens());  // windows with sinks
  return p;
}

StageWork plan_dimensions(const Run& run) {
  const DimensionsConfig& c = run.recipe.dimensions;
  const auto some = [](const auto& v) { return std::max<int64_t>(1, std::ssize(v)); };
  const int64_t all = some(c.candidates) * some(c.conv) * some(c.windows);
  const int64_t others = std::min<int64_t>(c.most, all + 1) - 1;  // beside the block's own
  StageWork p{"dimensions", "trainings", 0};
  add_candidates(p, run, run.recipe.blocks.budget, run.recipe.blocks.kinds.front(), others);
  p[WorkKind::engine] = static_cast<double>(others) * candidate_speed_passes(run.recipe);
  return p;
}

StageWork plan_distill(const Run& run) {
  const StagesConfig& c = run.recipe.distill;
  StageWork p{"distill", "tokens", static_cast<int64_t>(tokens_of(c.stage1.train) + tokens_of(c.stage2.train))};
  p[WorkKind::distill] = distill_passes(c.stage1) + distill_passes(c.stage2);
  p[WorkKind::scores] = 2 * static_cast<double>(run.evaluator.tokens());
  return p;
}

}  // namespace

double align_passes(const TrainConfig& c) { return 2 * tokens_of(c); }
double distill_passes(const DistillConfig& c) { return 4 * tokens_of(c.train); }
double gates_passes(const TrainConfig& c) { return 5 * tokens_of(c); }

double candidate_speed_passes(const Recipe& r) { return speed_passes(r, r.dimensions.context, 2); }

std::vector<StageWork> plan_of(const Run& run) {
  return {plan_base(run, "base"), plan_supernet(run),   plan_heat_map(run),
          plan_placement(run),    plan_validation(run), plan_blocks(run),
          plan_dimensions(run),   plan_distill(run),    plan_base(run, "final")};
}

void learn_rates(Run& run) {
  const auto learn = [&](WorkKind kind, const TrainResult& r, double passes, const TrainConfig& c) {
    if (c.tokens > 0) run.progress.learn(kind, passes * static_cast<double>(r.tokens) / tokens_of(c), r.seconds);
  };
  const Ledger& ledger = run.folder.ledger;
  if (ledger.has("supernet")) {
    const auto r = ledger.result<SupernetResult>("supernet");
    const BudgetConfig& b = run.recipe.supernet.budget;
    if (r.align) learn(WorkKind::align, *r.align, align_passes(b.align), b.align);
    run.progress.learn(WorkKind::distill, distill_passes(b.distill), r.paths.seconds);
  }
  for (const auto& key : ledger.keys("candidate/block-")) {
    const auto r = ledger.result<CandidateResult>(key);
    const BudgetConfig& b = run.recipe.blocks.budget;
    learn(WorkKind::align, r.align, align_passes(b.align), b.align);
    learn(WorkKind::distill, r.distill, distill_passes(b.distill), b.distill.train);
  }
}

}  // namespace jet
