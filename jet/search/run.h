// A search's parts, made from its recipe and its base; each has a header that says what it is for. Stages take the
// whole of it, what they call takes the parts.
#pragma once

#include <string>
#include <vector>

#include "jet/search/evaluator.h"
#include "jet/search/recipe.h"
#include "jet/search/run_folder.h"
#include "jet/search/run_progress.h"
#include "jet/search/run_watch.h"
#include "jet/search/teacher.h"
#include "jet/search/training_data.h"

namespace jet {

/// What every command that trains on a recipe begins with.
struct Setup {
  std::string recipe, out;
  std::string base;       // its weights are not read where only its tokenizer is used
  std::string student{};  // of a distillation that makes none itself
  bool trials = false;    // other processes work in `out` too, each on candidates of its own (Ledger, shared)
};

/// The op set that the recipe names: device, precision, whether layers run again in the backward pass. Sets libtorch's
/// threads.
TorchOps recipe_ops(const Recipe& recipe, const std::string& where);

struct Run {
  explicit Run(const Setup& setup);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Recipe recipe;
  TorchOps ops;
  RunFolder folder;
  RunProgress progress;
  RunWatch watch{};
  TrainingData data;
  Evaluator evaluator;
  Teacher teacher;
};

/// Whether a layer of the base stays as it is: one that has a window already, unless placement.keep_windows is false.
bool stays(const ModelSpec& base, const PlacementConfig& c, int layer);
bool stays(const Run& run, int layer);
/// The others, among which a search places full attention and windows; all that is not placed becomes linear.
std::vector<int> searched_layers(const ModelSpec& base, const PlacementConfig& c);
std::vector<int> searched_layers(const Run& run);

}  // namespace jet
