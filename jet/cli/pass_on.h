// The second program, jet-train, which stands beside this one where the project was built with torch. `jet` hands its
// commands over with all arguments; their options and help are jet-train's own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace jet {

struct TrainCommand {
  const char* name;
  const char* help;
};
inline constexpr TrainCommand kTrainCommands[] = {
    {"pretrain", "train a small full-attention base from nothing"},
    {"postnas", "search a hybrid of BASE and distil it: all stages, resumable"},
    {"distill", "both distillation stages for a hybrid that exists"},
    {"study", "train small models of every kind on made-up tasks: lab/README.md"},
};
/// Of one of them; another name does not compile.
consteval const char* train_help(std::string_view name) {
  for (const TrainCommand& c : kTrainCommands)
    if (name == c.name) return c.help;
  throw "no such command";
}

/// Whether jet-train runs this command line: one of its commands, or `bench train`.
bool is_train_command(const std::vector<std::string>& line);
/// Path of jet-train, or "" where it is not there.
std::string train_program();
/// Replaces this process by `jet-train LINE...`; throws where it is missing.
[[noreturn]] void become_train_program(const std::vector<std::string>& line);
/// Runs `jet-train LINE...` and returns its exit code.
int run_train_program(const std::vector<std::string>& line);

}  // namespace jet
