// Results and samples in the layout of lm-evaluation-harness's files.
#include <cmath>

#include "jet/eval/suite_run.h"

namespace jet {
namespace {

Json arguments_of(const SuiteTask& task, const SuiteItem& item) {
  Json arguments = Json::object();
  for (size_t i = 0; i < item.requests.size(); ++i) {
    const SuiteRequest& r = item.requests[i];
    Json a = Json::object();
    if (r.context) a["arg_0"] = *r.context;
    const char* second = r.context ? "arg_1" : "arg_0";
    if (task.suite->output_type == "generate_until") {
      a[second] = to_json_fields(task.suite->generation_kwargs);
    } else {
      a[second] = r.continuation;
    }
    arguments[fmt::format("gen_args_{}", i)] = a;
  }
  return arguments;
}

std::string sample_line(const SuiteTask& task, size_t i, const Json& answers, const SuiteGrade& g,
                        const SuiteFilter& filter) {
  const SuiteItem& item = task.items[i];
  Json resps = Json::array();
  for (const Json& a : answers) resps.push_back(Json::array({a}));
  Json line = {
      {"doc_id", i},    {"doc", item.doc},           {"target", item.target}, {"arguments", arguments_of(task, item)},
      {"resps", resps}, {"filtered_resps", answers}, {"filter", filter.name}, {"metrics", Json::array()}};
  if (g.filtered.contains(filter.name)) line["filtered_resps"] = Json::array({g.filtered.at(filter.name)});
  const std::string kind = "," + filter.name;
  for (const auto& [key, mark] : g.marks) {
    if (!key.ends_with(kind)) continue;
    const std::string metric = key.substr(0, key.size() - kind.size());
    line["metrics"].push_back(metric);
    const bool weighed = task.suite->output_type == "loglikelihood_rolling";
    line[metric] = weighed ? Json{mark.value, mark.weight} : Json(mark.value);
  }
  return json_text(line);
}

Json figures_json(const SuiteResult& r) {
  Json j = {{"alias", r.name}};
  for (const auto& [key, figure] : r.figures) {
    const size_t comma = key.find(',');
    j[key] = figure.value;
    j[key.substr(0, comma) + "_stderr" + key.substr(comma)] =
        std::isfinite(figure.error) ? Json(figure.error) : Json("N/A");
  }
  return j;
}

}  // namespace

SuiteResult grade_suite(const SuiteTask& task, const std::vector<Json>& answers, const RunProgram& run,
                        std::vector<std::string>* samples) {
  std::vector<SuiteGrade> grades;
  for (size_t i = 0; i < task.items.size(); ++i) {
    grades.push_back(grade(*task.suite, task.items[i], answers[i], run));
    if (!samples) continue;
    for (const auto& filter : task.suite->filter_list)
      samples->push_back(sample_line(task, i, answers[i], grades.back(), filter));
  }
  return {task.name, task.suite, task.shots, static_cast<int64_t>(task.items.size()), figures_of(grades)};
}

SuiteResult whole_suite(const Suite& suite, const std::vector<SuiteResult>& parts) {
  SuiteResult whole{suite.name, &suite, parts.front().shots, 0, {}};
  std::vector<int64_t> sizes;
  for (const auto& p : parts) whole.items += p.items, sizes.push_back(p.items);
  for (const auto& [key, unused] : parts.front().figures) {
    std::vector<SuiteFigure> figures;
    for (const auto& p : parts) figures.push_back(p.figures.at(key));
    whole.figures[key] = pooled(figures, sizes, suite.weight_by_size);
  }
  return whole;
}

Json suite_report(const std::vector<SuiteResult>& tasks, const std::vector<SuiteResult>& groups) {
  Json report = {{"results", Json::object()}, {"groups", Json::object()},    {"configs", Json::object()},
                 {"n-shot", Json::object()},  {"n-samples", Json::object()}, {"higher_is_better", Json::object()}};
  for (const auto& g : groups) report["results"][g.name] = report["groups"][g.name] = figures_json(g);
  for (const auto& t : tasks) {
    report["results"][t.name] = figures_json(t);
    report["configs"][t.name] = to_json_fields(*t.suite);
    report["n-shot"][t.name] = t.shots;
    report["n-samples"][t.name] = {{"effective", t.items}};
    for (const auto& [key, figure] : t.figures) {
      const std::string metric = key.substr(0, key.find(','));
      report["higher_is_better"][t.name][metric] = higher_is_better(metric);
    }
  }
  return report;
}

}  // namespace jet
