// Suites asked of an engine. Answers go to a journal as they come, so that a run that was killed asks for the rest:
//
//   OUT.json.part      {"model": ...}                     whom the answers are of; another's are not used
//                      {"key": "9f..", "answer": ...}     one line a request, by the hash of what was asked
//   OUT.json           the results, laid out as lm-evaluation-harness's
//   OUT.samples_TASK.jsonl   on request: every item with its requests, answers and marks, as there
#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "jet/engine/engine.h"
#include "jet/eval/suite.h"
#include "jet/eval/suite_metrics.h"
#include "jet/text/tokenizer.h"

namespace jet {

class SuiteJournal {
 public:
  /// Goes on with what `path` holds of `model`; an empty path keeps answers in memory alone.
  SuiteJournal(std::string path, const std::string& model);
  const Json* find(const std::string& key) const;
  /// Written when it returns.
  void add(const std::vector<std::pair<std::string, Json>>& answers);
  void remove();

 private:
  std::string path_;
  std::map<std::string, Json> answers_;
};

struct SuiteAsker {
  Engine& engine;
  const Tokenizer& tokenizer;
  int batch = 32;
  int max_length = 0;  // tokens of context and text; 0: the model's
};

/// Answers to all requests of a task, a list an item, with a line of progress.
std::vector<Json> ask_suite(const SuiteTask& task, const SuiteAsker& asker, SuiteJournal& journal);

struct SuiteResult {
  std::string name;
  const Suite* suite = nullptr;
  int shots = 0;
  int64_t items = 0;
  std::map<std::string, SuiteFigure> figures;
};

/// Grades a task's answers. `samples`: a line of JSON an item is added, where not null.
SuiteResult grade_suite(const SuiteTask& task, const std::vector<Json>& answers, const RunProgram& run,
                        std::vector<std::string>* samples);
/// The parts of a suite as one.
SuiteResult whole_suite(const Suite& suite, const std::vector<SuiteResult>& parts);

/// {"results": {task: {"alias", "acc,none", "acc_stderr,none", ...}}, "groups", "n-shot", "n-samples", "configs",
/// "higher_is_better"}
Json suite_report(const std::vector<SuiteResult>& tasks, const std::vector<SuiteResult>& groups);

}  // namespace jet
