// jet quantize SRC DST --type TYPE: the model of SRC with its matrices in TYPE, as the new folder DST.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/base/progress.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/model/quantize.h"

namespace jet {
namespace {

struct QuantizeAsked {
  std::string source, target, type;
  int threads = 0;
};

void run(const QuantizeAsked& o) {
  std::unique_ptr<Progress> progress;
  QuantizeOptions options{.type = dtype_from_name(o.type, "--type"), .threads = o.threads};
  options.progress = [&](int64_t done, int64_t total) {
    if (!progress) progress = std::make_unique<Progress>("quantize " + o.source, total, "weights");
    progress->update(done);
  };
  const QuantizeReport r = quantize_model(o.source, o.target, options);
  if (progress) progress->finish();
  fmt::print("{}: {} of {} matrices converted to {}, {:.1f} MB of weights where {} has {:.1f}\n", o.target, r.converted,
             r.matrices, o.type, static_cast<double>(r.bytes) * 1e-6, o.source,
             static_cast<double>(r.source_bytes) * 1e-6);
}

}  // namespace

void add_quantize_command(CLI::App& c, int&) {
  auto o = std::make_shared<QuantizeAsked>();
  c.add_option("source", o->source, "model folder to read")->required();
  c.add_option("target", o->target, "folder to make")->required();
  c.add_option("--type", o->type, "of the matrices")->required()->check(CLI::IsMember({"bf16", "int8", "int4"}));
  add_threads(c, o->threads);
  c.callback([o] { run(*o); });
}

}  // namespace jet
