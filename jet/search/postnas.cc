#include "jet/search/postnas.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "jet/search/report.h"
#include "jet/search/stages.h"
#include "jet/train/world.h"

namespace jet {

namespace {

// The result of an earlier stage, or an error that says which command makes it.
Json need(const Run& run, const char* stage) {
  require(run.ledger.has(stage), "stage '{}' has not run in {}: run it first, or leave out --only", stage,
          run.ledger.folder());
  return run.ledger.find(stage);
}

Placement placement_of(const Run& run) { return placement_from_json(need(run, "placement").at("chosen")); }

struct Stage {
  const char* name;
  Json (*run)(Run&, Supernet&);
  bool searches = false;  // reads the supernet's trained branches
};

// In order; a stage reads what the ones before it left in the ledger.
const Stage kStages[] = {
    {"base", [](Run& r, Supernet&) { return measure_base(r); }},
    {"supernet", [](Run& r, Supernet& net) { return train_supernet(r, net); }},
    {"heat_map", [](Run& r, Supernet& net) { return heat_map(r, net); }, true},
    {"placement", [](Run& r, Supernet& net) { return find_placement(r, net); }, true},
    {"validation", [](Run& r, Supernet& net) { return validate_placements(r, net); }, true},
    {"blocks", [](Run& r, Supernet&) { return select_block(r, placement_of(r)); }},
    {"dimensions", [](Run& r, Supernet&) { return search_dimensions(r, placement_of(r), need(r, "blocks")); }},
    {"distill",
     [](Run& r, Supernet&) { return distill_stages(r, placement_of(r), need(r, "blocks"), need(r, "dimensions")); }},
    {"final", [](Run& r, Supernet&) { return final_evaluation(r); }},
};

void run_stage(Run& run, Supernet& net, const Stage& stage) {
  const std::string name = stage.name;
  const bool search = name == "supernet";  // its weights are needed below even where its result is known
  if (run.ledger.has("seconds/" + name) && !search) return;
  const auto start = std::chrono::steady_clock::now();
  const Json result = stage.run(run, net);
  run.ledger.once(name, [&] { return result; });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  run.ledger.once("seconds/" + name, [&] { return seconds; });
}

}  // namespace

std::vector<std::string> stage_names() {
  std::vector<std::string> names;
  for (const Stage& s : kStages) names.emplace_back(s.name);
  return names;
}

void run_postnas(const PostnasOptions& o) {
  const auto known = stage_names();
  for (const auto& name : {o.only, o.until}) {
    require(name.empty() || std::find(known.begin(), known.end(), name) != known.end(),
            "no stage is called '{}' (known: {})", name, fmt::to_string(fmt::join(known, ", ")));
  }
  const bool searches = std::any_of(std::begin(kStages), std::end(kStages),
                                    [&](const Stage& s) { return s.name == o.only && s.searches; });
  Run run(o.base, o.recipe, o.out, o.trials);
  for (const auto* objective : {&run.recipe.placement.full_objective, &run.recipe.placement.swa_objective}) {
    for (const auto& wanted : *objective) run.search_task(wanted.task);  // throws now rather than after the supernet
  }
  run.require_epochs("supernet", run.recipe.supernet.budget);
  run.require_epochs("blocks", run.recipe.blocks.budget);
  run.require_epochs("distill.stage1.train", run.recipe.distill.stage1.train);
  run.require_epochs("distill.stage2.train", run.recipe.distill.stage2.train);
  Supernet net(run);
  for (const Stage& stage : kStages) {
    const std::string name = stage.name;
    if (!o.only.empty() && name != o.only) {
      if (name == "supernet" && searches) train_supernet(run, net);
      continue;
    }
    run_stage(run, net, stage);
    if (world().first()) write_report(o.out, build_report(run.recipe, run.ledger, run.device.str(), o.command));
    if (name == o.until) break;
  }
  if (!world().first()) return;
  const Json report = build_report(run.recipe, run.ledger, run.device.str(), o.command);
  write_report(o.out, report);
  std::printf("%s\n", report_text(report).c_str());
  for (const auto& note : report.at("notes")) std::printf("- %s\n", note.get<std::string>().c_str());
  std::printf("\nreport: %s/report.html\n", o.out.c_str());
  if (run.ledger.has("final")) std::printf("model:  %s/model\n", o.out.c_str());
}

}  // namespace jet
