#include "jet/search/postnas.h"

#include <algorithm>
#include <chrono>

#include "jet/search/peak_memory.h"
#include "jet/search/report.h"
#include "jet/search/run_plan.h"
#include "jet/search/selectors/selector.h"
#include "jet/search/stages.h"
#include "jet/train/world.h"

namespace jet {

namespace {

Placement placement_of(const Run& run) { return run.folder.ledger.result<PlacementResult>("placement").chosen; }
BlocksResult blocks_of(const Run& run) { return run.folder.ledger.result<BlocksResult>("blocks"); }
DimensionsResult dimensions_of(const Run& run) { return run.folder.ledger.result<DimensionsResult>("dimensions"); }

struct StageEntry {
  const char* name;
  Json (*run)(Run&, Supernet&);
  bool searches = false;  // reads the supernet's trained branches
  bool trains = false;    // students, which may start from these
};

Json validation(Run& r, Supernet& net) {
  const auto result = validate_placements(r, net);
  return result ? Json(*result) : Json();
}

// In order; a stage reads what the ones before it left in the ledger.
const StageEntry kStages[] = {
    {"base", [](Run& r, Supernet&) -> Json { return measure_base(r); }},
    {"supernet", [](Run& r, Supernet& net) -> Json { return train_supernet(r, net); }},
    {"heat_map", [](Run& r, Supernet& net) -> Json { return heat_map(r, net); }, true},
    {"placement", [](Run& r, Supernet& net) -> Json { return find_placement(r, net); }, true},
    {"validation", validation, true},
    {"blocks", [](Run& r, Supernet&) -> Json { return select_block(r, placement_of(r)); }, false, true},
    {"dimensions", [](Run& r, Supernet&) -> Json { return search_dimensions(r, placement_of(r), blocks_of(r)); }, false,
     true},
    {"distill",
     [](Run& r, Supernet&) -> Json { return distill_chosen(r, placement_of(r), blocks_of(r), dimensions_of(r)); },
     false, true},
    {"final", [](Run& r, Supernet&) -> Json { return final_evaluation(r); }},
};

void run_stage(Run& run, Supernet& net, const StageEntry& stage) {
  const std::string name = stage.name;
  Ledger& ledger = run.folder.ledger;
  const bool search = name == "supernet";  // its weights are needed below even where its result is known
  if (ledger.has("seconds/" + name) && !search) return;
  const auto start = std::chrono::steady_clock::now();
  const PeakMemory memory;
  run.progress.begin(name);
  const Json result = stage.run(run, net);
  run.progress.end();
  ledger.once(name, [&] { return result; });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ledger.once("peak_bytes/" + name, [&] { return memory.resident(); });
  ledger.once("seconds/" + name, [&] { return seconds; });
}

// What the base has too few layers for, and options that a block has not.
void require_layers(const Recipe& r, const ModelSpec& base) {
  for (int i = 0; i < base.n_layers(); ++i) attention_of(base, i);
  const PlacementConfig& c = r.placement;
  const std::vector<int> searched = searched_layers(base, c);
  require(!searched.empty(),
          "placement: every layer of the base has a window already; keep_windows = false in the "
          "recipe has them searched too");
  const int64_t n = std::ssize(searched), taken = int64_t{c.full} + c.swa;
  require(taken <= n, "placement: {} full and {} swa layers asked for, the base has {}{}", c.full, c.swa, n,
          n < base.n_layers() ? " besides its windows" : "");
  for (const int l : c.layers)
    require(std::count(searched.begin(), searched.end(), l) == 1,
            "placement: layers: {} is none of those searched ({})", l, fmt::join(searched, ", "));
  require(c.eliminate <= n - taken, "placement: eliminate is {}, expected a number in [0, {}]: so many are left linear",
          c.eliminate, n - taken);
  for (const int k : r.validation.curve) require(k <= n, "validation.curve: {} full layers of {}", k, n);
  make_mixer(r.supernet.branch, attention_of(base, searched.front()));
  for (const auto& kind : r.blocks.kinds) make_mixer(kind, attention_of(base, searched.front()));
}

// Which stages these options run, the supernet's weights for what reads them included.
bool will_run(const PostnasOptions& o, const Recipe& r, const std::string& name) {
  const auto at = [](const std::string& stage) {
    return std::find_if(std::begin(kStages), std::end(kStages), [&](const StageEntry& s) { return s.name == stage; });
  };
  if (!o.only.empty()) {
    const StageEntry& only = *at(o.only);
    return name == o.only || (name == "supernet" && (only.searches || (only.trains && r.supernet.starts_students)));
  }
  return o.until.empty() || at(name) <= at(o.until);
}

void require_stages(const Run& run) {
  run.data.require_trainable("distill.stage1.train", run.recipe.distill.stage1.train);
  run.data.require_trainable("distill.stage2.train", run.recipe.distill.stage2.train);
}

// What would end a later stage ends the run before the first.
void require_possible(const Run& run, const PostnasOptions& o) {
  require_layers(run.recipe, run.teacher.spec());
  const Recipe& r = run.recipe;
  for (const auto* objective : {&r.placement.full_objective, &r.placement.swa_objective})
    for (const auto& wanted : *objective)
      if (wanted.task != kKlTask) run.evaluator.search_task(wanted.task);
  const auto trains = [&](const char* stage, const std::string& what, const auto& budget) {
    if (will_run(o, r, stage)) run.data.require_trainable(what, budget);
  };
  if (r.supernet.trains()) {
    trains("supernet", "supernet", r.supernet.budget);
    trains("supernet", "supernet.budget.distill.train", r.supernet.budget.distill.train);
  }
  trains("blocks", "blocks", r.blocks.budget);
  if (will_run(o, r, "distill")) require_stages(run);
  if (r.validation.placements > 0 || !r.validation.curve.empty())
    trains("validation", "validation", r.validation.budget);
  for (const auto& name : asked_selectors(r.placement)) {
    if (selector_named(name).at_most(1, 1, r.placement).gates)
      trains("placement", "placement.gates.train", r.placement.gates.train);
  }
}

void require_stage(const std::string& name) {
  const auto known = stage_names();
  require(name.empty() || std::find(known.begin(), known.end(), name) != known.end(),
          "no stage is called '{}' (known: {})", name, fmt::join(known, ", "));
}

Json report_of(const Run& run, const std::string& command, const Json& so_far = {}) {
  return build_report(run.recipe, run.folder.ledger, run.ops.device.str(), command, so_far);
}

void open_watch(Run& run, const std::string& command) {
  if (!world().first()) return;
  run.progress.watched_by([&run](const RunStanding& s) { run.watch.stands(s); });
  run.watch.open(run.folder.path(), [&run, command](const Json& so_far) { return report_of(run, command, so_far); });
}

std::string told(const Run& run, const Json& report) {
  std::string out = report_text(report) + "\n";
  for (const auto& note : report.at("notes")) out += fmt::format("- {}\n", note.get<std::string>());
  out += fmt::format("\nreport: {}/report.html\n", run.folder.path());
  if (run.folder.ledger.has("distill")) out += fmt::format("model:  {}\n", run.folder.model());
  return out;
}

}  // namespace

std::vector<std::string> stage_names() {
  std::vector<std::string> names;
  for (const StageEntry& s : kStages) names.emplace_back(s.name);
  return names;
}

namespace {

// The report is written whenever a stage has ended.
void run_stages(Run& run, const PostnasOptions& o) {
  Supernet net(run);
  for (const StageEntry& stage : kStages) {
    if (!will_run(o, run.recipe, stage.name)) continue;
    if (!o.only.empty() && o.only != stage.name) {
      train_supernet(run, net);
      continue;
    }
    run_stage(run, net, stage);
    if (world().first()) write_report(o.out, report_of(run, o.command));
  }
}

// Does the work of the stages that `runs` names under the eyes of the page, and tells the report; `last`: the stage
// whose result says that the run is finished.
std::string watched(Run& run, const char* name, const std::string& command,
                    const std::function<bool(const std::string&)>& runs, const char* last,
                    const std::function<void()>& work) {
  auto plan = plan_of(run);
  std::erase_if(plan, [&](const StageWork& w) { return !runs(w.stage); });
  run.progress.plan(name, plan);
  learn_rates(run);
  open_watch(run, command);
  try {
    work();
  } catch (const std::exception& e) {
    run.watch.fail(e.what());
    throw;
  }
  run.watch.end(run.folder.ledger.has(last));
  if (!world().first()) return "";
  const Json report = report_of(run, command);
  write_report(run.folder.path(), report);
  return told(run, report);
}

}  // namespace

std::string run_postnas(const PostnasOptions& o) {
  require_stage(o.only), require_stage(o.until);
  Run run({.recipe = o.recipe, .out = o.out, .base = o.base, .trials = o.trials});
  require_possible(run, o);
  return watched(
      run, "postnas", o.command, [&](const std::string& stage) { return will_run(o, run.recipe, stage); }, "final",
      [&] { run_stages(run, o); });
}

std::string run_distill(const DistillOptions& o) {
  Run run({.recipe = o.recipe, .out = o.out, .base = o.teacher, .student = o.student});
  require_stages(run);
  TorchModel student = load_frozen(o.student, run.recipe, run.ops.device);
  const ModelSpec &s = student.spec, &base = run.teacher.spec();
  require(s.n_layers() == base.n_layers() && s.hidden_size == base.hidden_size && s.vocab_size == base.vocab_size,
          "{}: layers, hidden or vocabulary size differ from those of {}", o.student, o.teacher);
  return watched(
      run, "distill", o.command, [](const std::string& stage) { return stage == "distill"; }, "distill",
      [&] {
        run.progress.begin("distill");
        distill_stages(run, [&] { return student; });
        run.progress.end();
      });
}

}  // namespace jet
