#include "jet/search/report.h"

#include <ATen/Config.h>
#include <torch/version.h>

#include <cmath>

#include "jet/base/threads.h"
#include "jet/eval/machine_info.h"
#include "jet/search/postnas.h"
#include "jet/search/stages.h"
#include "jet/train/world.h"

namespace jet {

namespace {

const char kPage[] =
#include "report_html.inc"
    ;

Json gain(const std::string& step, const Json& row, const std::string& note = "") {
  Json g = {{"step", step}, {"note", note}, {"loss", row.at("loss")}};
  for (const char* task : {"recall", "mcq", "math"}) {
    if (row.contains("accuracy") && row["accuracy"].contains(task)) g[task] = row["accuracy"][task];
    if (row.contains("tasks") && row["tasks"].contains(task)) g[task] = row["tasks"][task].at("accuracy");
  }
  for (const char* key : {"cache_bytes", "decode_tps", "speedup"})
    if (row.contains(key)) g[key] = row[key];
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

Json gains_table(const Recipe& recipe, const Ledger& ledger) {
  Json rows = Json::array();
  const Json base = ledger.find("base"), blocks = ledger.find("blocks"), dims = ledger.find("dimensions");
  const Json distill = ledger.find("distill"), final = ledger.find("final");
  if (base.is_null()) return rows;
  rows.push_back(gain("base", base, "full attention everywhere"));
  add_speed(rows.back(), final.is_null() ? base : final, "base", recipe.dimensions.context);
  if (!blocks.is_null()) {
    const std::string branch = recipe.supernet.branch;
    rows.push_back(gain("all-linear", blocks["all_linear"], branch + " in every layer"));
    rows.push_back(gain("uniform", blocks["uniform"], branch + ", attention evenly spaced"));
    for (const auto& c : blocks["candidates"])
      if (c.at("kind") == branch)
        rows.push_back(gain("+ placement", c, branch + ", attention where the search put it"));
    if (!blocks["best_without_jet"].is_null()) {
      const Json& b = blocks["best_without_jet"];
      rows.push_back(gain("+ block", b, b.at("kind").get<std::string>()));
    }
    for (const auto& c : blocks["candidates"])
      if (c.at("kind") == "jet") rows.push_back(gain("+ JetBlock", c));
  }
  if (!dims.is_null()) {
    const Json& c = dims["chosen"];
    std::string note = fmt::format("{}: {} heads, {} x {}", c.at("kind").get<std::string>(), c.at("heads").get<int>(),
                                   c.at("dk").get<int>(), c.at("dv").get<int>());
    if (!recipe.dimensions.conv.empty() && c.contains("conv")) note += fmt::format(", conv {}", c["conv"].get<int>());
    if (!recipe.dimensions.windows.empty()) note += fmt::format(", window {}", c.at("window").get<int>());
    rows.push_back(gain("+ dimensions", c, note));
  }
  if (!distill.is_null()) {
    rows.push_back(gain("+ stage 1", distill["stage1"]["result"], "MLPs frozen"));
    if (final.is_null()) rows.push_back(gain("+ stage 2", distill["stage2"]["result"], "everything trained"));
  }
  if (!final.is_null()) {
    rows.push_back(gain("+ stage 2", final, "everything trained; measured by generation in the engine"));
    add_speed(rows.back(), final, "hybrid", recipe.dimensions.context);
  }
  return rows;
}

// A binomial accuracy of n items is uncertain by this much (one standard error).
double uncertainty(double p, int n) { return std::sqrt(std::max(p * (1 - p), 1e-4) / std::max(n, 1)); }

std::string validation_remark(const Json& v) {
  return fmt::format(
      "{} placements distilled alike, {} seeds each: Spearman correlation of the supernet's score with "
      "{} after distillation {:.2f}, with held-out loss {:.2f}.",
      v.at("rows").size(), v.at("seeds").get<int>(), v.at("objective").get<std::string>(), v.value("spearman", NAN),
      v.value("spearman_loss", NAN));
}

Json remarks(const Recipe& recipe, const Json& gains, const Json& placement, const Json& validation,
             const Json& dimensions) {
  Json notes = Json::array();
  notes.push_back(
      fmt::format("One seed ({}) and {} items a task: differences under about {:.0f} points of accuracy are "
                  "within the noise of the items alone.",
                  recipe.seed, recipe.eval.items, 200 * uncertainty(0.5, recipe.eval.items)));
  const auto find = [&](const std::string& step) {
    for (const auto& g : gains)
      if (g.at("step") == step) return g;
    return Json();
  };
  const Json uniform = find("uniform"), placed = find("+ placement");
  if (!uniform.is_null() && !placed.is_null()) {
    const std::string task = recipe.placement.full_objective.front().task;
    const double d = placed.value(task, 0.0) - uniform.value(task, 0.0);
    const double noise = 2 * std::hypot(uncertainty(placed.value(task, 0.5), recipe.eval.items),
                                        uncertainty(uniform.value(task, 0.5), recipe.eval.items));
    const char* verdict = d > noise ? "beats" : d < -noise ? "loses to" : "is level with";
    notes.push_back(
        fmt::format("After equal training, the searched placement {} the uniform one on {}: {:+.1f} points "
                    "({:.1f} is two standard errors).",
                    verdict, task, 100 * d, 100 * noise));
  }
  if (!placement.is_null() && placement.contains("exhaustive_count")) {
    std::string ranks;
    for (const auto& row : placement["selectors"]) {
      if (!row.contains("rank") || row["name"] == "exhaustive") continue;
      ranks +=
          fmt::format("{}{} {}", ranks.empty() ? "" : ", ", row["name"].get<std::string>(), row["rank"].get<int>());
    }
    notes.push_back(fmt::format("Ranks among all {} placements, as the supernet scores them: {}.",
                                placement["exhaustive_count"].get<int>(), ranks));
  }
  if (!validation.is_null() && validation.contains("rows")) notes.push_back(validation_remark(validation));
  notes.push_back(fmt::format(
      "Dimensions: the most accurate candidate among those within {:.0f} % of the fastest was taken; cache and decode "
      "speed of the steps are those after {} tokens of context.",
      100 * recipe.dimensions.speed_tolerance, recipe.dimensions.context));
  if (!dimensions.is_null() && dimensions.value("worst_error", 0.0) > 0) {
    const double off = dimensions["worst_error"];
    notes.push_back(fmt::format("The cost model's predictions of decode speed were at most {:.0f} % off{}.", 100 * off,
                                off > 0.15 ? ": more than the 15 % that pruning by it should stand on" : ""));
  }
  notes.push_back(
      "Decode speed over the base's is the median of turns that both take; tokens/s are those of their moment on a "
      "shared machine.");
  return notes;
}

std::string replace_once(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  require(at != std::string::npos, "report page: placeholder {} is missing", from);
  return text.replace(at, from.size(), to);
}

}  // namespace

Json build_report(const Recipe& recipe, const Ledger& ledger, const std::string& device, const std::string& command) {
  const std::string processes = world().alone() ? "" : fmt::format(", {} processes", world().size());
  const std::string gpu = device == "cpu" ? "" : ", training on " + device;
  Json r = {{"title", recipe.title},
            {"command", command},
            {"machine", machine_name(threads_asked(recipe.threads)) + processes + gpu},
            {"seeds", {{"run", recipe.seed}}},
            {"versions", {{"jet", JET_VERSION}, {"torch", TORCH_VERSION}, {"compiler", "gcc " __VERSION__}}},
            {"recipe", to_json_fields(recipe)}};
  Json seconds = Json::object();
  for (const auto& stage : stage_names()) {
    if (ledger.has(stage)) r[stage] = ledger.find(stage);
    if (ledger.has("seconds/" + stage)) seconds[stage] = ledger.find("seconds/" + stage);
  }
  r["seconds"] = seconds;
  r["gains"] = gains_table(recipe, ledger);
  r["notes"] =
      remarks(recipe, r["gains"], ledger.find("placement"), ledger.find("validation"), ledger.find("dimensions"));
  if (const Json final = ledger.find("final"); !final.is_null()) {
    r["layers"] = final["layers"];
    r["speed"] = final["speed"];
  }
  return r;
}

void write_report(const std::string& folder, const Json& report) {
  write_file(folder + "/report.json", report.dump(1) + "\n");
  std::string json = report.dump();
  // "</script>" or "<!--" inside a string would end the page's script.
  for (size_t at = 0; (at = json.find('<', at)) != std::string::npos;) json.replace(at, 1, "\\u003c");
  write_file(folder + "/report.html", replace_once(kPage, "/*REPORT_JSON*/null", json));
}

namespace {

std::string gains_text(const Json& report) {
  std::string out = fmt::format("{:<14} {:>7} {:>7} {:>7} {:>7} {:>10} {:>7} {:>7}  {}\n", "step", "recall", "mcq",
                                "math", "loss", "cache", "tok/s", "x base", "");
  for (const auto& g : report.at("gains")) {
    const auto percent = [&](const char* key) {
      return g.contains(key) ? fmt::format("{:.1f}", 100 * g[key].get<double>()) : "-";
    };
    out +=
        fmt::format("{:<14} {:>7} {:>7} {:>7} {:>7.3f} {:>10} {:>7} {:>7}  {}\n", g.at("step").get<std::string>(),
                    percent("recall"), percent("mcq"), percent("math"), g.at("loss").get<double>(),
                    g.contains("cache_bytes") ? fmt::format("{:.0f} KiB", g["cache_bytes"].get<double>() / 1024) : "-",
                    g.contains("decode_tps") ? fmt::format("{:.0f}", g["decode_tps"].get<double>()) : "-",
                    g.contains("speedup") ? fmt::format("{:.2f}", g["speedup"].get<double>()) : "-",
                    g.at("note").get<std::string>());
  }
  return out;
}

// Mean and standard deviation over the seeds, searched against evenly spaced.
std::string curve_text(const Json& curve, int seeds) {
  std::string out = fmt::format("\nfull attention left in k layers, {} seeds each\n", seeds);
  std::vector<std::string> columns;
  for (const auto& [task, unused] : curve.at(0).at("searched").at("tasks").items()) columns.push_back(task);
  columns.emplace_back("loss");
  out += fmt::format("{:>2}  {:<9} {:<20}", "k", "", "layers");
  for (const auto& c : columns) out += fmt::format("{:>16}", c);
  out += "\n";
  for (const auto& p : curve) {
    for (const char* which : {"searched", "uniform"}) {
      const Json& one = p.at(which);
      if (which == std::string("uniform") && one.at("layers") == p.at("searched").at("layers")) continue;
      out += fmt::format("{:>2}  {:<9} {:<20}", p.at("k").get<int>(), which,
                         fmt::to_string(fmt::join(one.at("layers").get<std::vector<int>>(), " ")));
      for (const auto& c : columns) {
        const bool loss = c == "loss";
        const Json& x = loss ? one.at("loss") : one.at("tasks").at(c);
        const double scale = loss ? 1 : 100;
        const std::string text = fmt::format("{:.{}f} +- {:.{}f}", scale * x.at("mean").get<double>(), loss ? 3 : 1,
                                             scale * x.at("sd").get<double>(), loss ? 3 : 1);
        out += fmt::format("{:>16}", text);
      }
      out += "\n";
    }
  }
  return out;
}

}  // namespace

std::string report_text(const Json& report) {
  std::string out = gains_text(report);
  if (!report.contains("validation") || !report["validation"].contains("curve")) return out;
  return out + curve_text(report["validation"]["curve"], report["validation"].at("seeds"));
}

}  // namespace jet
