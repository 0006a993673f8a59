// jet verify GOLDEN_DIR: every golden case against the engine, then, where jet-train is built, against the torch path.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

#include "jet/base/json.h"
#include "jet/cli/commands.h"
#include "jet/cli/pass_on.h"
#include "jet/eval/verify.h"

namespace jet {
namespace {

struct VerifyOptions {
  std::string folder;
  bool engine_only = false, json = false;
};

void print_cases(const std::vector<VerifyCase>& cases, bool json) {
  if (json) {
    Json list = Json::array();
    for (const auto& c : cases) {
      list.push_back(
          {{"name", c.name}, {"error", c.error}, {"tolerance", c.tolerance}, {"ok", c.ok}, {"note", c.note}});
    }
    fmt::print("{}\n", Json{{"path", "engine"}, {"cases", list}}.dump(2));
    return;
  }
  size_t width = 0, bad = 0;
  for (const auto& c : cases) width = std::max(width, c.name.size());
  for (const auto& c : cases) {
    bad += c.ok ? 0 : 1;
    fmt::print("{} {:<{}}  {:.2e} <= {:.0e}  {}\n", c.ok ? "ok  " : "FAIL", c.name, width, c.error, c.tolerance,
               c.note);
  }
  fmt::print("engine: {} of {} cases ok\n", cases.size() - bad, cases.size());
}

void run(const VerifyOptions& o) {
  const auto cases = verify_engine(o.folder);
  print_cases(cases, o.json);
  const bool ok = std::all_of(cases.begin(), cases.end(), [](const VerifyCase& c) { return c.ok; });
  exit_code() = ok ? 0 : 1;
  if (o.engine_only) return;
  if (train_program().empty()) {
    fmt::print(stderr, "torch path: skipped, jet-train is not built\n");
    return;
  }
  std::vector<std::string> arguments = {"verify", o.folder};
  if (o.json) arguments.push_back("--json");
  exit_code() = std::max(exit_code(), run_train_program(arguments));
}

}  // namespace

void add_verify_command(CLI::App& app) {
  auto o = std::make_shared<VerifyOptions>();
  auto* c = app.add_subcommand("verify", "check the engine, and the torch path where built, against golden numbers");
  c->add_option("golden_dir", o->folder, "a model folder with golden.safetensors, or a folder of such folders")
      ->required();
  c->add_flag("--engine-only", o->engine_only, "leave the torch path out");
  c->add_flag("--json", o->json, "print JSON");
  c->callback([o] { run(*o); });
}

}  // namespace jet
