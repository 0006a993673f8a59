// What a model can do: its scores on the recipe's tasks and its loss on held-out texts, of a forward pass in torch or
// of a folder in the engine, and what the engine's speeds are. Items come in two disjoint sets of each task: a small
// one that the search looks at again and again, and a larger one for reported figures.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "jet/eval/tasks.h"
#include "jet/search/results.h"
#include "jet/search/run_progress.h"
#include "jet/search/training_data.h"

namespace jet {

/// A forward pass: ids [B, T] -> hidden states [B, T, hidden] after the final norm.
using HiddenFn = std::function<at::Tensor(const at::Tensor& ids)>;

class Evaluator {
 public:
  /// Borrows all; throws where a task has too few items, or a metric that is no accuracy.
  Evaluator(const Recipe& recipe, const TrainingData& data, TorchOps& ops, RunProgress& progress);

  /// The objective of a recipe that states none: the tasks that are `wanted`, or all where none is, at equal weights.
  std::vector<TaskWeight> all_alike(bool (Task::*wanted)() const) const;
  const std::vector<Task>& search_tasks() const { return search_; }
  /// The search items of a task; throws where there is no such task.
  const Task& search_task(const std::string& name) const;
  /// Tokens of them, and of all tasks'.
  int64_t search_tokens(const std::string& task) const;
  int64_t search_tokens() const;
  /// The search items are asked in rounds (halving.h), which end with so many items. One round where the recipe does
  /// not halve.
  const std::vector<int64_t>& rounds() const { return rounds_; }
  /// What a round adds to those before it; empty where a task has fewer items.
  Task search_round(const std::string& task, int round) const;
  /// Tokens and items of an evaluation.
  int64_t tokens() const;
  int64_t reported_items() const;

  TaskScore score(const Task& task, const HiddenFn& hidden, const at::Tensor& head) const;
  /// On the reported items and the held-out texts. Throws where a loss is not finite.
  Evaluation evaluate(const HiddenFn& hidden, const at::Tensor& head) const;
  /// Of a model's own forward pass; by the first process, for all of its world.
  Evaluation evaluate(const TorchModel& m) const;
  /// The engine's view of a model folder: tasks by generation. `so_far` is told after every task.
  Evaluation generate(const std::string& folder, const std::function<void(const Evaluation&)>& so_far = {}) const;

  /// Decode and prefill by context of the engine with the base and, where `folder` is another model, with that one by
  /// turns with it.
  SpeedTable speeds(const std::string& base, const std::string& folder) const;
  /// At the context and batch where dimensions are compared; `speedup`: over the base's, measured by turns with it, so
  /// that figures of different hours can be compared.
  CandidateSpeed candidate_speed(const std::string& base, const std::string& folder) const;

 private:
  const Recipe& recipe_;
  const TrainingData& data_;
  TorchOps& ops_;
  RunProgress& progress_;
  std::vector<Task> search_, reported_;
  std::vector<int64_t> rounds_;
};

}  // namespace jet
