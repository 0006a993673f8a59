// The program `jet`: parse, call one function, print. Everything that goes wrong ends here as one line on stderr and
// exit code 2. Commands that need torch live in a second program, jet-train, which takes over with all arguments.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <new>
#include <string>

#include "jet/base/error.h"
#include "jet/cli/commands.h"
#include "jet/cli/pass_on.h"
#include "jet/cli/terminal_progress.h"

namespace {

int complain(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  while (!message.empty() && message.back() == ' ') message.pop_back();
  std::fflush(stdout);
  std::fprintf(stderr, "jet: %s\n", message.c_str());
  return 2;
}

int run(int argc, char** argv) {
  // Before parsing: options and help of these commands are jet-train's own.
  if (jet::is_train_command(argc, argv)) jet::become_train_program(argv);

  CLI::App app("jet: hybrid language models, searched and run", "jet");
  app.require_subcommand(1);
  jet::add_info_command(app);
  jet::add_generate_command(app);
  jet::add_logits_command(app);
  jet::add_verify_command(app);
  jet::add_eval_command(app);
  jet::add_bench_command(app);
  jet::add_plan_command(app);
  jet::add_quantize_command(app);
  jet::add_export_command(app);
  jet::add_data_command(app);
  for (const auto& c : jet::kTrainCommands) app.add_subcommand(c.name, c.help);
  const std::string command = argc > 1 ? argv[1] : "-";
  if (command[0] != '-' && app.get_subcommands([&](CLI::App* c) { return c->get_name() == command; }).empty()) {
    return complain("unknown command '" + command + "' (see jet --help)");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help, --version
  } catch (const CLI::ParseError& e) { return complain(std::string(e.what()) + " (see jet --help)"); }
  return jet::exit_code();
}

}  // namespace

int main(int argc, char** argv) {
  jet::show_progress();
  try {
    return run(argc, argv);
  } catch (const jet::Error& e) { return complain(e.what()); } catch (const std::bad_alloc&) {
    return complain("out of memory");
  } catch (const std::exception& e) { return complain(std::string("unexpected: ") + e.what()); }
}
