// Commands as data: a program is a table of them.
//
//   jet NAME ...       add() puts the options of NAME on its parser, and a callback that runs it once they are read
//   jet help NAME      its help; jet, jet help: the list
//   jet --version
#pragma once

#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace jet {

struct Command {
  const char* name;
  const char* help;
  /// Where a check did not hold, the callback sets `code` (program.h). Null: another program runs it.
  void (*add)(CLI::App& command, int& code);
};

/// What stands behind the program's name, with help asked for in one way: "--help" last.
std::vector<std::string> command_line(int argc, char** argv);
/// Puts `commands` on `app`, one of which has to be given.
void add_commands(CLI::App& app, std::span<const Command> commands, int& code);
/// Runs the command that `line` names; the exit code. Throws what the command throws, and Error where the line is
/// wrong.
int run_commands(CLI::App& app, std::span<const Command> commands, std::vector<std::string> line);

// The commands of `jet`, each in a file of its own.
void add_info_command(CLI::App& c, int& code);
void add_generate_command(CLI::App& c, int& code);
void add_tokenize_command(CLI::App& c, int& code);
void add_chat_command(CLI::App& c, int& code);
void add_template_command(CLI::App& c, int& code);
void add_logits_command(CLI::App& c, int& code);
void add_verify_command(CLI::App& c, int& code);
void add_eval_command(CLI::App& c, int& code);
void add_bench_command(CLI::App& c, int& code);
void add_plan_command(CLI::App& c, int& code);
void add_quantize_command(CLI::App& c, int& code);
void add_export_command(CLI::App& c, int& code);
void add_data_command(CLI::App& c, int& code);
void add_import_command(CLI::App& c, int& code);
void add_serve_command(CLI::App& c, int& code);
void add_report_command(CLI::App& c, int& code);
void add_cache_command(CLI::App& c, int& code);

}  // namespace jet
