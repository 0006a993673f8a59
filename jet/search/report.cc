#include "jet/search/report.h"

#include <ATen/Config.h>
#include <torch/version.h>

#include <algorithm>

#include "jet/base/threads.h"
#include "jet/eval/machine_info.h"
#include "jet/search/gains.h"
#include "jet/search/postnas.h"
#include "jet/search/stages.h"
#include "jet/train/world.h"

namespace jet {

namespace {

const char kPage[] =
#include "report_html.inc"
    ;

std::string replace_once(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  require(at != std::string::npos, "report page: placeholder {} is missing", from);
  return text.replace(at, from.size(), to);
}

}  // namespace

Json build_report(const Recipe& recipe, const Ledger& ledger, const std::string& device, const std::string& command,
                  const Json& so_far) {
  const std::string processes = world().alone() ? "" : fmt::format(", {} processes", world().size());
  const std::string gpu = device == "cpu" ? "" : ", training on " + device;
  Json r = {{"title", recipe.title},
            {"command", command},
            {"machine", machine_name(threads_asked(recipe.threads)) + processes + gpu},
            {"seeds", {{"run", recipe.seed}}},
            {"versions", {{"jet", JET_VERSION}, {"torch", TORCH_VERSION}, {"compiler", "gcc " __VERSION__}}},
            {"recipe", to_json_fields(recipe)}};
  Json seconds = Json::object(), peaks = Json::object();
  for (const auto& stage : stage_names()) {
    if (ledger.has(stage)) {
      r[stage] = ledger.find(stage);
    } else if (so_far.contains(stage)) {
      r[stage] = so_far[stage], r["unfinished"] = stage;
    }
    if (ledger.has("seconds/" + stage)) seconds[stage] = ledger.find("seconds/" + stage);
    if (ledger.has("peak_bytes/" + stage)) peaks[stage] = ledger.find("peak_bytes/" + stage);
  }
  r["seconds"] = seconds, r["peak_bytes"] = peaks;
  if (const Json final = ledger.find("final"); !final.is_null()) {
    r["layers"] = final["layers"];
    r["speed"] = final["speed"];
  }
  return with_tables(std::move(r));
}

Json with_tables(Json report) {
  // What tables and remarks are made by; other tables of a recipe may be those of another version.
  const Json asked = get_or(report, "recipe", Json::object(), "report.json");
  Recipe recipe;
  read_field(asked, "seed", recipe.seed, "report.json: recipe");
  read_field(asked, "supernet", recipe.supernet, "report.json: recipe");
  read_field(asked, "placement", recipe.placement, "report.json: recipe");
  read_field(asked, "dimensions", recipe.dimensions, "report.json: recipe");
  report["gains"] = gains_table(recipe, report);
  report["notes"] = remarks(recipe, report, report["gains"]);
  return report;
}

void write_report(const std::string& folder, const Json& report) {
  write_file(folder + "/report.json", json_text(report, 1) + "\n");
  std::string json = json_text(report);
  // "</script>" or "<!--" inside a string would end the page's script.
  for (size_t at = 0; (at = json.find('<', at)) != std::string::npos;) json.replace(at, 1, "\\u003c");
  write_file(folder + "/report.html", replace_once(kPage, "/*REPORT_JSON*/null", json));
}

namespace {

std::string cell(const Json& row, const std::string& key, double scale, int digits) {
  return row.contains(key) && row[key].is_number() ? fmt::format("{:.{}f}", scale * row[key].get<double>(), digits)
                                                   : "-";
}

std::string gains_text(const Json& gains) {
  const auto tasks = tasks_of(gains);
  std::string out = fmt::format("{:<14}", "step");
  const auto column = [&](const std::string& text, size_t width) { out += fmt::format(" {:>{}}", text, width); };
  const auto width = [](const std::string& task) { return std::max<size_t>(7, task.size()); };
  for (const auto& t : tasks) column(t, width(t));
  column("loss", 7), column("cache", 10), column("tok/s", 7), column("x base", 7);
  for (const auto& g : gains) {
    out += fmt::format("\n{:<14}", g.at("step").get<std::string>());
    for (const auto& t : tasks) column(cell(g.at("accuracy"), t, 100, 1), width(t));
    const std::string cache = cell(g, "cache_bytes", 1.0 / 1024, 0);
    column(cell(g, "loss", 1, 3), 7), column(cache == "-" ? cache : cache + " KiB", 10);
    column(cell(g, "decode_tps", 1, 0), 7), column(cell(g, "speedup", 1, 2), 7);
    if (const auto note = g.at("note").get<std::string>(); !note.empty()) out += "  " + note;
  }
  return out + "\n";
}

// "mean +- sd" over the seeds, or "-".
std::string spread_cell(const Json& of, const std::string& key, double scale, int digits) {
  if (!of.contains(key)) return "-";
  return fmt::format("{} +- {}", cell(of[key], "mean", scale, digits), cell(of[key], "sd", scale, digits));
}

// Mean and standard deviation over the seeds, searched against evenly spaced.
std::string curve_text(const Json& curve, int seeds) {
  std::string out = fmt::format("\nfull attention left in k layers, {} seeds each\n", seeds);
  Json rows = Json::array();
  for (const auto& p : curve)
    for (const char* which : {"searched", "uniform"}) rows.push_back(p.at(which));
  const auto tasks = tasks_of(rows, "tasks");
  size_t widest = 20;
  for (const auto& row : rows)
    widest = std::max(widest, fmt::to_string(fmt::join(row.at("layers").get<std::vector<int>>(), " ")).size());
  const auto width = [](const std::string& task) { return std::max<size_t>(15, task.size()); };
  out += fmt::format("{:>2}  {:<9} {:<{}}", "k", "", "layers", widest);
  for (const auto& t : tasks) out += fmt::format(" {:>{}}", t, width(t));
  out += fmt::format(" {:>15}\n", "loss");
  for (const auto& p : curve) {
    for (const char* which : {"searched", "uniform"}) {
      const Json& one = p.at(which);
      if (which == std::string("uniform") && one.at("layers") == p.at("searched").at("layers")) continue;
      out += fmt::format("{:>2}  {:<9} {:<{}}", p.at("k").get<int>(), which,
                         fmt::to_string(fmt::join(one.at("layers").get<std::vector<int>>(), " ")), widest);
      for (const auto& t : tasks) out += fmt::format(" {:>{}}", spread_cell(one.at("tasks"), t, 100, 1), width(t));
      out += fmt::format(" {:>15}\n", spread_cell(one, "loss", 1, 3));
    }
  }
  return out;
}

}  // namespace

std::string report_text(const Json& report) {
  std::string out = gains_text(report.at("gains"));
  if (!report.contains("validation") || !report["validation"].contains("curve")) return out;
  return out + curve_text(report["validation"]["curve"], report["validation"].at("seeds"));
}

}  // namespace jet
