// The second program, jet-train, which stands beside this one where the project was built with torch.
#pragma once

#include <string>
#include <vector>

namespace jet {

struct TrainCommand {
  const char* name;
  const char* help;
};
inline constexpr TrainCommand kTrainCommands[] = {
    {"pretrain", "train a model from nothing (jet-train)"},
    {"postnas", "search for a faster hybrid of a model (jet-train)"},
    {"distill", "train a hybrid towards its base (jet-train)"},
    {"study", "compare blocks on made-up tasks (jet-train)"},
    {"report", "tables and figures of a run (jet-train)"},
};

/// Whether jet-train takes `jet ARGUMENTS...`: one of its commands, or `bench train`.
bool is_train_command(int argc, char** argv);
/// Path of jet-train, or "" where it is not there.
std::string train_program();
/// Replaces this process by jet-train with the same arguments; throws where it is missing.
[[noreturn]] void become_train_program(char** argv);
/// Runs jet-train with `arguments` and returns its exit code.
int run_train_program(const std::vector<std::string>& arguments);

}  // namespace jet
