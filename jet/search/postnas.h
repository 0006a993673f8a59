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

/// All stages, or one; prints the gains table and writes report and model.
void run_postnas(const PostnasOptions& options);

/// Both distillation stages for a hybrid that exists as a folder; writes out/model.
void run_distill(const std::string& teacher, const std::string& student, const std::string& recipe,
                 const std::string& out);

/// Trains a small full-attention base from nothing, in the Qwen2 layout, with the tokenizer of `tokenizer_folder`.
void run_pretrain(const std::string& tokenizer_folder, const std::string& recipe, const std::string& out);

}  // namespace jet
