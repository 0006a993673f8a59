#include "jet/search/gains.h"

#include <algorithm>

#include "jet/blocks/list.h"

namespace jet {

namespace {

// Stages say "accuracy": {task: 0.5}; evaluations by the engine "tasks": {task: {"accuracy": 0.5, ...}}.
Json accuracies(const Json& row) {
  if (row.contains("accuracy")) return row["accuracy"];
  Json out = Json::object();
  for (const auto& [task, score] : row.at("tasks").items())
    if (score.contains("accuracy")) out[task] = score["accuracy"];
  return out;
}

Json gain(const std::string& step, const Json& row, std::string note = "") {
  if (const int seeds = row.value("seeds", 1); seeds > 1)
    note += fmt::format("{}mean of {} seeds", note.empty() ? "" : ", ", seeds);
  Json g = {{"step", step}, {"note", note}, {"accuracy", accuracies(row)}};
  for (const char* key : {"loss", "cache_bytes", "decode_tps", "speedup"})
    if (row.contains(key) && row[key].is_number()) g[key] = row[key];
  return g;
}

// The speed of "base" or "hybrid" at the context where candidates were measured, where `evaluation` has that point.
void add_speed(Json& g, const Json& evaluation, const std::string& model, int context) {
  const Json& s = evaluation.at("speed");
  for (size_t i = 0; i < s.at("contexts").size(); ++i) {
    if (s["contexts"][i] != context) continue;
    for (const char* key : {"cache_bytes", "decode_tps", "speedup"}) g[key] = s.at(model).at(key)[i];
  }
}

// Where layers were eliminated, candidates are without them, and the row of the placement is one of its own.
void add_blocks(const Recipe& recipe, const Json& blocks, const Json& placement, Json& rows) {
  const std::string branch = recipe.supernet.branch, placed = branch + ", attention where the search put it";
  if (const Json windows = stage_result(blocks, "sinks"); !windows.is_null())
    rows.push_back(gain("window + sinks", windows, windows.at("name").get<std::string>() + " everywhere, untrained"));
  if (blocks.contains("all_linear"))
    rows.push_back(gain("all-linear", blocks["all_linear"], branch + " in every layer searched"));
  if (blocks.contains("uniform"))
    rows.push_back(gain("uniform", blocks["uniform"], branch + ", attention evenly spaced"));
  if (const Json last = stage_result(blocks, "last"); !last.is_null())
    rows.push_back(gain("last", last, branch + ", attention in the last layers"));
  std::string gone;
  if (blocks.contains("placed")) {
    rows.push_back(gain("+ placement", blocks["placed"], placed));
    gone =
        fmt::format("no mixer in {}", fmt::join(placement.at("eliminated").at("layers").get<std::vector<int>>(), " "));
  }
  if (const Json windows = stage_result(blocks, "placed_sinks"); !windows.is_null())
    rows.push_back(gain("placed + sinks", windows,
                        windows.at("name").get<std::string>() + ", attention where the search put it, untrained"));
  for (const auto& c : blocks.at("candidates"))
    if (c.at("kind") == branch)
      rows.push_back(gain(gone.empty() ? "+ placement" : "- layers", c, gone.empty() ? placed : gone));
  if (const Json b = stage_result(blocks, "best_without_jet"); !b.is_null())
    rows.push_back(gain("+ block", b, b.at("kind").get<std::string>()));
  for (const auto& c : blocks["candidates"])
    if (c.at("kind") == JetBlock::kind) rows.push_back(gain("+ JetBlock", c));
}

void add_dimensions(const DimensionsConfig& asked, const Json& chosen, Json& rows) {
  std::string note = fmt::format("{}: {} heads, {} x {}", chosen.at("kind").get<std::string>(),
                                 chosen.at("heads").get<int>(), chosen.at("dk").get<int>(), chosen.at("dv").get<int>());
  if (!asked.conv.empty() && chosen.contains("conv")) note += fmt::format(", conv {}", chosen["conv"].get<int>());
  if (!asked.windows.empty()) note += fmt::format(", window {}", chosen.at("window").get<int>());
  rows.push_back(gain("+ dimensions", chosen, note));
}

}  // namespace

Json stage_result(const Json& results, const char* stage) { return results.contains(stage) ? results[stage] : Json(); }

Json gains_table(const Recipe& recipe, const Json& results) {
  Json rows = Json::array();
  const Json base = stage_result(results, "base"), blocks = stage_result(results, "blocks");
  const Json dims = stage_result(results, "dimensions"), distill = stage_result(results, "distill");
  const Json final = stage_result(results, "final");
  if (!base.is_null()) {
    rows.push_back(gain("base", base, "full attention everywhere"));
    add_speed(rows.back(), final.is_null() ? base : final, "base", recipe.dimensions.context);
  }
  if (!blocks.is_null()) add_blocks(recipe, blocks, stage_result(results, "placement"), rows);
  if (dims.contains("chosen")) add_dimensions(recipe.dimensions, dims["chosen"], rows);
  const auto trained = [&](const char* stage) { return stage_result(stage_result(distill, stage), "result"); };
  if (const Json row = trained("stage1"); !row.is_null()) rows.push_back(gain("+ stage 1", row, "MLPs frozen"));
  const std::string all = recipe.distill.stage2.vocabulary ? "everything trained" : "all layers trained";
  if (const Json row = trained("stage2"); !row.is_null() && final.is_null())
    rows.push_back(gain("+ stage 2", row, all));
  if (!final.is_null()) {
    rows.push_back(gain("+ stage 2", final, all + "; measured by generation in the engine"));
    add_speed(rows.back(), final, "hybrid", recipe.dimensions.context);
  }
  return rows;
}

std::vector<std::string> tasks_of(const Json& rows, const char* key) {
  std::vector<std::string> tasks;
  for (const auto& row : rows)
    for (const auto& [task, figure] : row.at(key).items())
      if (std::find(tasks.begin(), tasks.end(), task) == tasks.end()) tasks.push_back(task);
  return tasks;
}

}  // namespace jet
