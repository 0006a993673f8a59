// The verbs of jet-train: whole runs, resumable, each started by one command.
#pragma once

#include <string>
#include <vector>

namespace jet {

struct PostnasOptions {
  std::string base, recipe, out;
  std::string only;     // one stage's name, or empty for all
  std::string until;    // the last stage to run, or empty
  bool trials = false;  // share candidates out with other processes that work in `out`
  std::string command;  // as typed, for the report
};

/// Of all stages, in order: the keys of the ledger and of the report.
std::vector<std::string> stage_names();

// Each returns what is to be told of its result, in lines; in processes that are not the first of their world, nothing.

/// All stages, or one; writes report and model, and tells the gains table.
std::string run_postnas(const PostnasOptions& options);

struct DistillOptions {
  std::string teacher, student, recipe, out;
  std::string command;  // as typed
};

/// Both distillation stages for a hybrid that exists as a folder; writes report and out/model.
std::string run_distill(const DistillOptions& options);

/// Trains a small full-attention base from nothing, in the Qwen2 layout, with the tokenizer of `tokenizer_folder`.
std::string run_pretrain(const std::string& tokenizer_folder, const std::string& recipe, const std::string& out);

}  // namespace jet
