// jet export RUN_OR_MODEL DIR --format FORMAT: the model in a layout that other programs read, as the new folder DIR.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <cstdint>
#include <memory>
#include <optional>

#include "jet/base/progress.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/model/export.h"

namespace jet {
namespace {

struct ExportAsked {
  std::string source, target, format, dtype;
  std::optional<int> window;
  ExportWindows windows;
  int64_t shard_bytes = 5'000'000'000;
};

void run(const ExportAsked& o) {
  std::unique_ptr<Progress> progress;
  ExportOptions options{.format = o.format, .shard_bytes = o.shard_bytes};
  if (!o.dtype.empty()) options.dtype = dtype_from_name(o.dtype, "--dtype");
  if (o.window) {
    options.windows = o.windows;
    options.windows->window = *o.window;
  }
  options.progress = [&](int64_t done, int64_t total) {
    if (!progress) progress = std::make_unique<Progress>("export " + o.source, total, "weights");
    progress->update(done);
  };
  const ExportReport r = export_model(o.source, o.target, options);
  if (progress) progress->finish();
  fmt::print("{}: {} tensors, {:.1f} MB in {} file{}, as {}\n", o.target, r.tensors,
             static_cast<double>(r.bytes) * 1e-6, r.files, r.files == 1 ? "" : "s", r.model_type);
  for (const auto& note : r.notes) fmt::print("note: {}\n", note);
}

}  // namespace

void add_export_command(CLI::App& c, int&) {
  auto o = std::make_shared<ExportAsked>();
  c.add_option("source", o->source, "folder of a finished run, or of a model")->required();
  c.add_option("target", o->target, "folder to make")->required();
  c.add_option("--format", o->format, "hf: our own; jet-nemotron: what the authors' code and SGLang read")
      ->required()
      ->check(CLI::IsMember(export_formats()));
  c.add_option("--dtype", o->dtype, "of all tensors (as they are where not given)")
      ->check(CLI::IsMember({"f32", "bf16"}));
  auto* window = add_number(c, "--window", o->window,
                            "attention looks at so many tokens and a text's first ones, the weights as they are", 1);
  add_number(c, "--full", o->windows.full, "layers that keep all, from 0 on", 0)->needs(window);
  add_number(c, "--sinks", o->windows.sinks, "tokens that a text begins with, for --window", 0)->needs(window);
  add_size(c, "--shard-size", o->shard_bytes, "most bytes of one file: 5GB, 500MB, ...");
  c.callback([o] { run(*o); });
}

}  // namespace jet
