// jet import FILE.gguf DIR [--type TYPE]: the model of a GGUF file as the new folder DIR.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/base/progress.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/model/gguf_import.h"
#include "jet/text/tokenizer.h"

namespace jet {
namespace {

struct Options {
  std::string source, target, type = "as-is";
  int threads = 0;
};

void run(const Options& o) {
  std::unique_ptr<Progress> progress;
  GgufImportOptions options{.threads = o.threads};
  if (o.type != "as-is") options.type = dtype_from_name(o.type, "--type");
  options.progress = [&](int64_t done, int64_t total) {
    if (!progress) progress = std::make_unique<Progress>("import " + o.source, total, "weights");
    progress->update(done);
  };
  options.check = [](const std::string& folder) { Tokenizer::load(folder); };
  const GgufImportReport r = import_gguf(o.source, o.target, options);
  if (progress) progress->finish();
  fmt::print("{}: {}, {:.1f} MB of weights; {} tensors: {}\n", o.target, r.architecture,
             static_cast<double>(r.bytes) * 1e-6, r.tensors, r.types);
}

}  // namespace

void add_import_command(CLI::App& c, int&) {
  auto o = std::make_shared<Options>();
  c.add_option("file", o->source, "GGUF file, or the first of several")->required();
  c.add_option("target", o->target, "folder to make")->required();
  c.add_option("--type", o->type, "of the weights; as-is: int8 and int4 where those hold them without loss, else bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"as-is", "f32", "bf16", "int8", "int4"}));
  add_threads(c, o->threads);
  c.callback([o] { run(*o); });
}

}  // namespace jet
