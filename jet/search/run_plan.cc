#include "jet/search/run_plan.h"

#include <algorithm>

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

double objective_passes(const Run& run, const std::vector<TaskWeight>& objective) {
  int64_t sum = 0;
  for (const auto& o : objective)
    sum += o.task == kKlTask ? 2 * probe_tokens(run.recipe) : run.evaluator.search_tokens(o.task);
  return static_cast<double>(sum);
}

// Adds `n` candidates, each evaluated.
void add_candidates(StageWork& p, const Run& run, const BudgetConfig& budget, int64_t n) {
  const auto times = static_cast<double>(n);
  p[WorkKind::align] += times * align_passes(budget.align);
  p[WorkKind::distill] += times * distill_passes(budget.distill);
  p[WorkKind::scores] += times * static_cast<double>(run.evaluator.tokens());
  if (std::string_view(p.unit) == "trainings") p.units += n;
}

// Adds what a selector asks for at most: paths of the whole objective, and trainings.
void add_selector(StageWork& p, const Run& run, const std::string& name, int k) {
  const PlacementConfig& c = run.recipe.placement;
  const SelectorBound most = select_at_most(name, run.teacher.spec().n_layers(), k, c);
  const auto paths = static_cast<double>(most.paths);
  p[WorkKind::paths] += paths * objective_passes(run, c.full_objective);
  if (most.gates) p[WorkKind::gates] += gates_passes(c.gates.train);
  if (std::string_view(p.unit) == "paths") p.units += most.paths * std::ssize(c.full_objective);
}

StageWork plan_base(const Run& run, const char* stage) {
  StageWork p{stage, "items", run.evaluator.reported_items()};
  const bool final = stage == std::string_view("final");
  p[WorkKind::engine] = static_cast<double>(run.evaluator.tokens()) + speed_table_passes(run.recipe, final ? 2 : 1);
  if (final) p[WorkKind::scores] = 3 * static_cast<double>(run.evaluator.tokens());  // each kind of mixer off
  return p;
}

StageWork plan_supernet(const Run& run) {
  const BudgetConfig& b = run.recipe.supernet.budget;
  StageWork p{"supernet", "tokens", static_cast<int64_t>(tokens_of(b.align) + tokens_of(b.distill.train))};
  p[WorkKind::align] = align_passes(b.align), p[WorkKind::distill] = distill_passes(b.distill);
  return p;
}

StageWork plan_heat_map(const Run& run) {
  const int64_t paths = run.teacher.spec().n_layers() + 2;
  StageWork p{"heat_map", "paths", paths * std::ssize(run.evaluator.search_tasks())};
  for (const auto& t : run.evaluator.search_tasks())
    p[WorkKind::paths] += static_cast<double>(paths * run.evaluator.search_tokens(t.name));
  return p;
}

StageWork plan_placement(const Run& run) {
  const PlacementConfig& c = run.recipe.placement;
  StageWork p{"placement", "paths", 0};
  std::vector<std::string> names = asked_selectors(c);
  for (const auto& name : names) add_selector(p, run, name, c.full);
  const int64_t n = run.teacher.spec().n_layers();
  // The rows of the table, and what the objectives are settled by.
  const int64_t rows = std::ssize(names) + 2 + n;
  p.units += rows * std::ssize(c.full_objective);
  p[WorkKind::paths] += static_cast<double>(rows) * objective_passes(run, c.full_objective);
  const int64_t windows = c.swa == 0 ? 0 : beam_evaluations(n - c.full, c.swa, c.beam) + n - c.full;
  p.units += windows * std::ssize(c.swa_objective);
  p[WorkKind::paths] += static_cast<double>(windows) * objective_passes(run, c.swa_objective);
  const int64_t removals = beam_evaluations(n - c.full - c.swa, c.eliminate, c.beam);
  for (const auto* objective : {&c.full_objective, &c.swa_objective}) {
    p.units += removals * std::ssize(*objective);
    p[WorkKind::paths] += static_cast<double>(removals) * objective_passes(run, *objective);
  }
  return p;
}

StageWork plan_validation(const Run& run) {
  const ValidationConfig& c = run.recipe.validation;
  StageWork p{"validation", "trainings", 0};
  add_candidates(p, run, c.budget, int64_t{c.seeds} * (c.placements + 2 * std::ssize(c.curve)));
  for (const int k : c.curve) add_selector(p, run, run.recipe.placement.selector, k);
  for (const auto& paths : c.samplings) {
    if (paths == run.recipe.supernet.paths) continue;
    p[WorkKind::distill] += distill_passes(run.recipe.supernet.budget.distill);
    p[WorkKind::paths] += c.placements * objective_passes(run, run.recipe.placement.full_objective);
  }
  return p;
}

StageWork plan_blocks(const Run& run) {
  const BlocksConfig& c = run.recipe.blocks;
  StageWork p{"blocks", "trainings", 0};
  const auto kinds = std::ssize(c.kinds), baselines = int64_t{run.recipe.placement.eliminate > 0 ? 4 : 3};
  const auto first = (kinds + baselines) * std::ssize(c.lrs);
  const int64_t leaders = std::min<int64_t>(c.leaders, kinds);
  add_candidates(p, run, c.budget, first + leaders * (c.seeds - 1) + (c.random_start ? 1 : 0));
  p[WorkKind::engine] = static_cast<double>(kinds + baselines) * candidate_speed_passes(run.recipe);
  p[WorkKind::scores] += static_cast<double>(run.evaluator.tokens());  // windows with sinks
  return p;
}

StageWork plan_dimensions(const Run& run) {
  const DimensionsConfig& c = run.recipe.dimensions;
  const auto some = [](const auto& v) { return std::max<int64_t>(1, std::ssize(v)); };
  const int64_t all = some(c.candidates) * some(c.conv) * some(c.windows);
  const int64_t others = std::min<int64_t>(c.most, all + 1) - 1;  // beside the block's own
  StageWork p{"dimensions", "trainings", 0};
  add_candidates(p, run, run.recipe.blocks.budget, others);
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
