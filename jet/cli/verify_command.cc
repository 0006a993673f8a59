// jet verify GOLDEN_DIR: every golden case against the engine, then, where jet-train is built, against the torch path.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

#include "jet/cli/cases.h"
#include "jet/cli/commands.h"
#include "jet/cli/pass_on.h"
#include "jet/eval/verify.h"

namespace jet {
namespace {

struct VerifyOptions {
  std::string folder;
  bool engine_only = false, json = false;
};

int run(const VerifyOptions& o) {
  const int code = print_cases("engine", verify_engine(o.folder), o.json);
  if (o.engine_only) return code;
  if (train_program().empty()) {
    fmt::print(stderr, "torch path: skipped, jet-train is not built\n");
    return code;
  }
  std::vector<std::string> line = {"verify", o.folder};
  if (o.json) line.push_back("--json");
  return std::max(code, run_train_program(line));
}

}  // namespace

void add_verify_command(CLI::App& c, int& code) {
  auto o = std::make_shared<VerifyOptions>();
  c.add_option("golden_dir", o->folder, "a folder with golden.safetensors, or one that holds such folders")->required();
  c.add_flag("--engine-only", o->engine_only, "leave the torch path out");
  c.add_flag("--json", o->json, "print JSON, a line for each path");
  c.callback([o, &code] { code = run(*o); });
}

}  // namespace jet
