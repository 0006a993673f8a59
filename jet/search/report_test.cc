// The report of a run with tasks of a user's own: every figure of its tables and every remark is what the ledger says,
// and what the ledger does not say is said to be absent.
#include "jet/search/report.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "jet/search/gains.h"

namespace jet {
namespace {

constexpr int kItems = 60;

Json engine_figures(double arc, double kv, double lambada, double loss) {
  Json tasks;
  const std::pair<const char*, double> figures[] = {{"arc_easy", arc}, {"kv", kv}, {"lambada", lambada}};
  for (const auto& [name, p] : figures)
    tasks[name] = {{"name", name}, {"accuracy", p}, {"total", kItems}, {"nll", 1.5}};
  return {{"tasks", tasks},
          {"losses", {{"skills", loss}}},
          {"loss", loss},
          {"speed",
           {{"contexts", {0, 1024}},
            {"base", {{"decode_tps", {50, 40}}, {"speedup", {1, 1}}, {"cache_bytes", {1024, 204800}}}},
            {"hybrid", {{"decode_tps", {60, 90}}, {"speedup", {1.2, 2.25}}, {"cache_bytes", {1024, 51200}}}}}}};
}

Json row(double arc, double kv, double lambada, double loss) {
  return {{"accuracy", {{"arc_easy", arc}, {"kv", kv}, {"lambada", lambada}}},
          {"loss", loss},
          {"decode_tps", 80.0},
          {"speedup", 1.75},
          {"cache_bytes", 61440.0},
          {"lr", 1e-3},
          {"diverged", false}};
}

Json with(Json row, const Json& more) {
  row.update(more);
  return row;
}

/// The figures of the run that was reported wrongly: kv 63.3 per cent searched, 0.0 evenly spaced.
Json stages() {
  const Json placed = with(row(0.4, 38.0 / kItems, 0.25, 3.25), {{"kind", "gla"}, {"name", "block-gla"}});
  const Json jet = with(row(0.45, 0.7, 0.3, 3.125), {{"kind", "jet"}, {"name", "block-jet"}, {"seeds", 3}});
  Json wild = with(row(0, 0, 0, 0), {{"kind", "retnet"}, {"name", "block-retnet"}, {"diverged", true}});
  wild["accuracy"] = Json::object(), wild["loss"] = nullptr;
  return {{"base", engine_figures(0.5, 0.95, 0.35, 3.0)},
          {"placement",
           {{"exhaustive_count", 435},
            {"selectors", {{{"name", "beam"}, {"rank", 2}}, {{"name", "uniform"}, {"rank", 301}}}}}},
          {"blocks",
           {{"candidates", {wild, placed, jet}},
            {"all_linear", row(0.3, 0, 0.05, 4.0)},
            {"uniform", row(0.35, 0, 0.1, 3.5)},
            {"best", jet},
            {"best_without_jet", placed},
            {"chosen", "jet"}}},
          {"final", with(engine_figures(0.48, 0.9, 0.33, 3.0625), {{"layers", {"attention", "jet"}}})}};
}

class Report : public testing::Test {
 protected:
  Report() {
    std::filesystem::remove_all(folder_);
    recipe_.supernet.branch = "gla";
    recipe_.placement.full_objective = {{"kv", 1}};
    recipe_.data.push_back({});
  }
  ~Report() override { std::filesystem::remove_all(folder_); }

  Json report(const Json& stages, const Json& so_far = {}) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    Ledger ledger(folder_, {{"of", "a test"}});
    for (const auto& [stage, result] : stages.items()) ledger.once(stage, [&] { return result; });
    return build_report(recipe_, ledger, "cpu", "", so_far);
  }
  /// The remark that holds `part`, or "".
  static std::string remark(const Json& report, const std::string& part) {
    for (const auto& note : report.at("notes"))
      if (const auto text = note.get<std::string>(); text.find(part) != std::string::npos) return text;
    return "";
  }
  /// The columns of the gains table and, by step, its cells, as they are printed.
  static std::map<std::string, std::map<std::string, std::string>> printed(const Json& report) {
    std::istringstream lines(report_text(report));
    std::string line, name;
    std::getline(lines, line);
    std::istringstream head(line.substr(14));
    std::vector<std::string> columns;
    while (head >> name) columns.push_back(name == "tok/s" || name == "base" ? name : name);
    std::erase(columns, "x");  // of "x base"
    std::map<std::string, std::map<std::string, std::string>> rows;
    while (std::getline(lines, line) && !line.empty()) {
      const std::string step = line.substr(0, line.find_last_not_of(' ', 13) + 1);
      std::istringstream cells(line.substr(14));
      for (const auto& c : columns) {
        cells >> rows[step][c];
        if (c == "cache" && rows[step][c] != "-") cells >> name;  // KiB
      }
    }
    return rows;
  }

  const std::string folder_ = testing::TempDir() + "jet_report";
  Recipe recipe_{};
};

std::string percent(double p) { return fmt::format("{:.1f}", 100 * p); }

TEST_F(Report, GainsAreTheLedgersFigures) {
  const Json all = stages(), r = report(all);
  const std::vector<std::pair<std::string, Json>> sources = {{"base", all["base"]},
                                                             {"all-linear", all["blocks"]["all_linear"]},
                                                             {"uniform", all["blocks"]["uniform"]},
                                                             {"+ placement", all["blocks"]["candidates"][1]},
                                                             {"+ block", all["blocks"]["best_without_jet"]},
                                                             {"+ JetBlock", all["blocks"]["candidates"][2]},
                                                             {"+ stage 2", all["final"]}};
  ASSERT_EQ(r["gains"].size(), sources.size());
  const auto text = printed(r);
  EXPECT_EQ(tasks_of(r["gains"]), (std::vector<std::string>{"arc_easy", "kv", "lambada"}));
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto& [step, source] = sources[i];
    const Json& g = r["gains"][i];
    EXPECT_EQ(g["step"], step);
    EXPECT_EQ(g["loss"], source["loss"]) << step;
    for (const char* task : {"arc_easy", "kv", "lambada"}) {
      const double p = source.contains("tasks") ? source["tasks"][task]["accuracy"] : source["accuracy"][task];
      EXPECT_EQ(g["accuracy"][task], p) << step;
      EXPECT_EQ(text.at(step).at(task), percent(p)) << step;
    }
    EXPECT_EQ(text.at(step).at("loss"), fmt::format("{:.3f}", source["loss"].get<double>())) << step;
  }
  EXPECT_EQ(text.at("base").at("cache"), "200");
  EXPECT_EQ(text.at("base").at("tok/s"), "40");
  EXPECT_EQ(text.at("+ stage 2").at("base"), "2.25");
  EXPECT_EQ(text.at("uniform").at("cache"), "60");
  EXPECT_EQ(text.at("uniform").at("tok/s"), "80");
  EXPECT_EQ(text.at("uniform").at("base"), "1.75");
  EXPECT_EQ(r["gains"][5]["note"], "mean of 3 seeds");
}

TEST_F(Report, RemarksAreTheLedgersFigures) {
  const Json r = report(stages());
  EXPECT_EQ(
      remark(r, "After equal training"),
      "After equal training, the searched placement beats the uniform one on kv: 63.3 against 0.0 per cent, +63.3 "
      "points (12.9 is two standard errors).");
  EXPECT_NE(remark(r, "One seed").find("60 items a task: differences under about 13 points"), std::string::npos);
  EXPECT_NE(remark(r, "Ranks among").find("all 435 placements, as the supernet scores them: beam 2, uniform 301."),
            std::string::npos);
  EXPECT_EQ(remark(r, "Dimensions"), "");  // not run
  EXPECT_EQ(remark(r, "Spearman"), "");
  EXPECT_NE(remark(r, "after 1024 tokens"), "");
}

TEST_F(Report, ObjectivesOfSeveralTermsAreNamedAndWeighed) {
  recipe_.placement.full_objective = {{"kv", 1}, {"arc_easy", 0.5}};
  const std::string text = remark(report(stages()), "After equal training");
  // (0.6333 + 0.5 * 0.4) / 1.5 against 0.5 * 0.35 / 1.5
  EXPECT_NE(text.find("on kv + 0.5 arc_easy: 55.6 against 11.7 per cent, +43.9 points"), std::string::npos) << text;
}

TEST_F(Report, WhatIsAbsentIsSaidToBe) {
  Json all = stages();
  all["blocks"]["uniform"]["accuracy"].erase("kv");
  all["blocks"]["all_linear"]["loss"] = nullptr;
  for (const char* key : {"decode_tps", "speedup", "cache_bytes"}) all["blocks"]["uniform"].erase(key);
  all["validation"] = {{"rows", {1, {{"accuracies", {0.5}}}}},
                       {"seeds", 2},
                       {"objective", "kv"},
                       {"spearman", nullptr},
                       {"spearman_loss", 0.5}};
  const Json r = report(all);
  const auto text = printed(r);
  for (const char* column : {"kv", "cache", "tok/s", "base"}) EXPECT_EQ(text.at("uniform").at(column), "-") << column;
  EXPECT_EQ(text.at("uniform").at("arc_easy"), "35.0");
  EXPECT_EQ(text.at("all-linear").at("loss"), "-");
  EXPECT_FALSE(r["gains"][2]["accuracy"].contains("kv"));
  EXPECT_EQ(remark(r, "After equal training"), "");
  EXPECT_NE(remark(r, "2 placements distilled").find("1 to 2 seeds"), std::string::npos);
  EXPECT_NE(remark(r, "cannot be compared on kv").find("no accuracy of kv for the uniform one"), std::string::npos);
  EXPECT_NE(remark(r, "Spearman").find("kv after distillation undefined (all alike), with held-out loss 0.50"),
            std::string::npos);
  EXPECT_EQ(report(Json::object()).at("gains").size(), 0u);
  EXPECT_EQ(report(Json::object()).at("notes").size(), 0u);
}

TEST_F(Report, CurvesHaveTheRunsTasks) {
  const auto point = [](double kv, const Json& layers) {
    return Json{
        {"layers", layers}, {"tasks", {{"kv", {{"mean", kv}, {"sd", 0.01}}}}}, {"loss", {{"mean", 3.5}, {"sd", 0.25}}}};
  };
  Json all = stages();
  all["validation"] = {{"seeds", 2},
                       {"curve", {{{"k", 1}, {"searched", point(0.5, {3})}, {"uniform", point(0.25, {0})}}}}};
  all["validation"]["curve"][0]["uniform"]["tasks"]["lambada"] = {{"mean", 0.125}, {"sd", 0.0}};
  const std::string text = report_text(report(all));
  const std::string curve = text.substr(text.find("full attention left"));
  EXPECT_NE(curve.find("k            layers                            kv         lambada            loss"),
            std::string::npos)
      << curve;
  EXPECT_NE(curve.find("50.0 +- 1.0               -  3.500 +- 0.250"), std::string::npos) << curve;
  EXPECT_NE(curve.find("25.0 +- 1.0     12.5 +- 0.0  3.500 +- 0.250"), std::string::npos) << curve;
}

/// Steps of the gains table, in one line.
std::string steps(const Json& report) {
  std::string out;
  for (const Json& g : report.at("gains")) out += (out.empty() ? "" : ", ") + g.at("step").get<std::string>();
  return out;
}

TEST_F(Report, AStageAtWorkHasTheRowsThatItHasFound) {
  const Json all = stages();
  Json done = {{"base", all["base"]}, {"placement", all["placement"]}};
  Json blocks = {{"candidates", Json::array({all["blocks"]["candidates"][1]})},
                 {"all_linear", all["blocks"]["all_linear"]}};
  Json r = report(done, {{"blocks", blocks}});
  EXPECT_EQ(r["unfinished"], "blocks");
  EXPECT_EQ(steps(r), "base, all-linear, + placement");
  EXPECT_EQ(r["blocks"], blocks);
  EXPECT_EQ(remark(r, "After equal training"), "") << "the other row is missing";

  done["blocks"] = all["blocks"];
  const Json curve = {{"curve", Json::array({Json::array({256, 4.5})})}, {"tokens", 256}};
  r = report(done, {{"distill", {{"stage1", curve}}}});
  EXPECT_EQ(steps(r), "base, all-linear, uniform, + placement, + block, + JetBlock");
  Json trained = curve;
  trained["result"] = all["blocks"]["best"];
  r = report(done, {{"distill", {{"stage1", trained}, {"stage2", curve}}}});
  EXPECT_EQ(steps(r), "base, all-linear, uniform, + placement, + block, + JetBlock, + stage 1");

  r = report(done, {{"dimensions", {{"candidates", {1, 2}}, {"worst_error", 0.5}}},
                    {"validation", {{"seeds", 2}, {"objective", "kv"}, {"rows", Json::array()}}}});
  EXPECT_EQ(remark(r, "Dimensions") + remark(r, "Spearman"), "");
  EXPECT_FALSE(report(all, {{"blocks", blocks}}).contains("unfinished")) << "it is finished in the ledger";
}

TEST_F(Report, CellsThatSayNothingAreNamedAndBaselinesHaveRows) {
  Json all = stages();
  all["heat_map"] = {{"tasks", Json::array({"kv", "arc_easy"})},
                     {"layers", 2},
                     {"value", Json::array({Json::array({0.0, 0.0}), Json::array({0.25, 0.3})})},
                     {"all_linear", {{"kv", 0.0}, {"arc_easy", 0.25}}}};
  all["placement"]["why"] = Json::array({"kv goes by its loss: because"});
  all["blocks"]["last"] = row(0.3, 0.1, 0.05, 3.75);
  all["blocks"]["sinks"] = with(row(0.45, 0.2, 0.3, 3.125), {{"name", "window of 64 + 4 sinks"}});
  all["blocks"]["placed_sinks"] = all["blocks"]["sinks"];
  const Json r = report(all);
  EXPECT_EQ(
      steps(r),
      "base, window + sinks, all-linear, uniform, last, placed + sinks, + placement, + block, + JetBlock, + stage 2");
  EXPECT_EQ(r["gains"][1]["note"], "window of 64 + 4 sinks everywhere, untrained");
  EXPECT_NE(remark(r, "heat map").find("accuracy of kv says nothing"), std::string::npos);
  EXPECT_EQ(remark(r, "goes by its loss"), "kv goes by its loss: because");
  all["heat_map"]["value"][0][1] = nullptr;
  EXPECT_EQ(remark(report(all), "heat map"), "") << "not measured yet";
}

/// `jet report` on what another version wrote: tables and remarks are those of the results.
TEST_F(Report, TablesAreMadeAgainFromAReport) {
  Json r = report(stages());
  const Json gains = r["gains"], notes = r["notes"];
  r["gains"] = {{{"step", "base"}, {"loss", 3.0}, {"note", ""}}},
  r["notes"] = {"level with the uniform one on kv: +0.0"};
  r["recipe"].erase("data"), r["recipe"]["other"] = 1;
  r = with_tables(r);
  EXPECT_EQ(r["gains"], gains);
  EXPECT_EQ(r["notes"], notes);
}

}  // namespace
}  // namespace jet
