// jet import FILE.gguf DIR [--type TYPE]: the model of a GGUF file as the new folder DIR.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/cli/commands.h"
#include "jet/cli/model_cache.h"
#include "jet/cli/options.h"

namespace jet {
namespace {

struct ImportCommand {
  std::string source, target, type = "as-is";
  int threads = 0;
};

void run_import(const ImportCommand& o) {
  const auto type = o.type == "as-is" ? std::nullopt : std::optional(dtype_from_name(o.type, "--type"));
  const GgufImportReport r = import_model(o.source, o.target, type, o.threads);
  fmt::print("{}: {}, {:.1f} MB of weights; {} tensors: {}\n", o.target, r.architecture,
             static_cast<double>(r.bytes) * 1e-6, r.tensors, r.types);
}

}  // namespace

void add_import_command(CLI::App& c, int&) {
  auto o = std::make_shared<ImportCommand>();
  c.add_option("file", o->source, "GGUF file, or the first of several")->required();
  c.add_option("target", o->target, "folder to make")->required();
  c.add_option("--type", o->type, "of the weights; as-is: int8 and int4 where those hold them without loss, else bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"as-is", "f32", "bf16", "int8", "int4"}));
  add_threads(c, o->threads);
  c.callback([o] { run_import(*o); });
}

}  // namespace jet
