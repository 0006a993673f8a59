#include "jet/cli/commands.h"

#include <CLI/CLI.hpp>

#include <algorithm>

#include "jet/base/error.h"
#include "jet/cli/model_cache.h"
#include "jet/cli/program.h"

namespace jet {

std::vector<std::string> command_line(int argc, char** argv) {
  std::vector<std::string> line(argv + 1, argv + argc);
  const bool help = !line.empty() && line.front() == "help";
  if (help) line.erase(line.begin());
  if (help || line.empty()) line.push_back("--help");
  return line;
}

void add_commands(CLI::App& app, std::span<const Command> commands, int& code) {
  app.require_subcommand(1);
  for (const Command& c : commands) {
    CLI::App* sub = app.add_subcommand(c.name, c.help);
    if (c.add) c.add(*sub, code);
    take_gguf_files(*sub);
  }
}

int run_commands(CLI::App& app, std::span<const Command> commands, std::vector<std::string> line) {
  int code = kDone;
  add_commands(app, commands, code);
  const std::string first = line.front();
  const bool known = std::any_of(commands.begin(), commands.end(), [&](const Command& c) { return c.name == first; });
  require(known || first.starts_with('-'), "unknown command '{}' (see jet --help)", first);
  std::reverse(line.begin(), line.end());  // as the parser takes them
  try {
    app.parse(line);
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help, --version
  } catch (const CLI::ParseError& e) { fail("{} (see jet --help)", e.what()); }
  return code;
}

}  // namespace jet
