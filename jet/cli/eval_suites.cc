#include "jet/cli/eval_suites.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>

#include <fmt/core.h>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/hash.h"
#include "jet/eval/run_code.h"
#include "jet/eval/suite_run.h"

namespace jet {
namespace {

/// Of what answers depend on beside the question: the files of the model and how the engine holds its states.
std::string identity_of(const std::string& model, const EngineArguments& engine) {
  Hasher h;
  std::vector<std::string> files;
  if (is_folder(model)) {
    for (const auto& entry : std::filesystem::directory_iterator(model))
      if (entry.is_regular_file()) files.push_back(entry.path().string());
  } else {
    files.push_back(model);
  }
  std::sort(files.begin(), files.end());
  for (const auto& f : files) h.add(hash_text(file_hash(f)));
  h.add(fmt::format("{} {} {}", engine.kv, engine.state, engine.exact));
  return hash_text(h.value());
}

void print_result(const SuiteResult& r) {
  for (const auto& [key, figure] : r.figures) {
    const std::string error = std::isfinite(figure.error) ? fmt::format(" +- {:.4f}", figure.error) : "";
    fmt::print("{:<36} {:<24} {:.4f}{}  {} items, {} shots\n", r.name,
               key.ends_with(",none") ? key.substr(0, key.size() - 5) : key, figure.value, error, r.items, r.shots);
  }
}

/// Everything that is wrong with the question is told before the model is read.
std::vector<SuiteTask> tasks_of(const std::vector<Suite>& suites, const SuiteArguments& a, int limit) {
  std::vector<SuiteTask> tasks;
  for (const Suite& suite : suites) {
    require(!suite.runs_code() || a.run_code,
            "suite '{}' runs programs that the model writes, in a child process without network; allow it with "
            "--run-code",
            suite.name);
    if (a.permute_choices && suite.options.empty())
      fmt::print(stderr, "{}: shows no lettered options, whose order could matter: asked once\n", suite.name);
    if (suite.runs_code()) require(cannot_run_code().empty(), "suite '{}': {}", suite.name, cannot_run_code());
    for (auto& task : load_suite(suite, {a.data, limit, a.num_fewshot, a.permute_choices}))
      tasks.push_back(std::move(task));
  }
  return tasks;
}

void write_samples(const SuiteArguments& a, const std::string& task, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  const std::string stem = std::filesystem::path(a.out).replace_extension().string();
  AtomicFile file(fmt::format("{}.samples_{}.jsonl", stem, task));
  for (const auto& line : lines) file.write(line + "\n");
  file.commit();
}

std::vector<SuiteResult> groups_of(const std::vector<Suite>& suites, const std::vector<SuiteResult>& results) {
  std::vector<SuiteResult> groups;
  for (const Suite& suite : suites) {
    std::vector<SuiteResult> parts;
    for (const auto& r : results)
      if (r.suite == &suite) parts.push_back(r);
    if (parts.size() > 1) groups.push_back(whole_suite(suite, parts));
  }
  return groups;
}

}  // namespace

void list_suites(bool json) {
  Json all = Json::object();
  for (const Suite& s : built_in_suites()) {
    std::vector<std::string> paths, shots;
    for (const auto& f : s.files) paths.push_back(f.path);
    for (const auto& f : s.fewshot.files) shots.push_back(f.path);
    all[s.name] = {{"about", s.about},
                   {"files", paths},
                   {"published", s.published},
                   {"licence", s.licence},
                   {"num_fewshot", s.num_fewshot},
                   {"fewshot_files", shots},
                   {"runs_code", s.runs_code()}};
    if (json) continue;
    fmt::print("{:<16} {}{}\n{:17}{}\n", s.name, s.about, s.runs_code() ? " (--run-code)" : "", "",
               fmt::join(paths, "  or  "));
    if (s.num_fewshot > 0)
      fmt::print("{:17}{} shots{}{}\n", "", s.num_fewshot, shots.empty() ? "" : " from ", fmt::join(shots, " or "));
    fmt::print("{:17}{}; {}\n", "", s.published, s.licence);
  }
  if (json) fmt::print("{}\n", json_text(all, 2));
}

void run_suites(const SuiteArguments& a, const std::string& model, int limit, int batch, bool json,
                const EngineArguments& engine_arguments) {
  require(!a.log_samples || !a.out.empty(), "--log-samples writes beside the results: name them with --out FILE.json");
  const auto start = std::chrono::steady_clock::now();
  const auto suites = suites_named(a.suites);
  const auto tasks = tasks_of(suites, a, limit);
  const auto tokenizer = Tokenizer::load(model);
  const auto engine = engine_arguments.load(model);
  SuiteJournal journal(a.out.empty() ? "" : a.out + ".part", identity_of(model, engine_arguments));
  const RunProgram run = [](const std::string& program) { return run_python(program); };
  std::vector<SuiteResult> results;
  for (const SuiteTask& task : tasks) {
    const auto answers = ask_suite(task, {*engine, tokenizer, batch, a.max_length}, journal);
    std::vector<std::string> samples;
    results.push_back(grade_suite(task, answers, run, a.log_samples ? &samples : nullptr));
    write_samples(a, task.name, samples);
    if (!json) print_result(results.back());
  }
  const auto groups = groups_of(suites, results);
  if (!json)
    for (const auto& g : groups) print_result(g);
  Json report = suite_report(results, groups);
  report["config"] = {{"model", "jet"},
                      {"model_args", model},
                      {"limit", limit > 0 ? Json(limit) : Json()},
                      {"kv", engine_arguments.kv},
                      {"exact", engine_arguments.exact}};
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  report["total_evaluation_time_seconds"] = seconds.count();
  if (json) fmt::print("{}\n", json_text(report, 2));
  if (!a.out.empty()) write_file(a.out, json_text(report, 2) + "\n");
  journal.remove();
}

}  // namespace jet
