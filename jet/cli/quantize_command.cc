// jet quantize SRC DST --type TYPE: the model of SRC with its matrices in TYPE, as the new folder DST.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/base/file.h"
#include "jet/base/progress.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/engine/calibrate.h"
#include "jet/text/tokenizer.h"

namespace jet {
namespace {

constexpr const char* kCalibrationText =
#include "calibration.inc"
    ;
constexpr int kRowLength = 512;

struct QuantizeAsked {
  std::string source, target, type, calibrate = "default";
  int tokens = 16384, threads = 0;
  double bits = 0;
};

bool has_tokenizer(const std::string& folder) {
  return file_exists(folder + "/tokenizer.json") || file_exists(folder + "/tokenizer.model");
}

CalibrateOptions calibration(const QuantizeAsked& o) {
  const auto tokenizer = Tokenizer::load(o.source);
  const std::string text = o.calibrate == "default" ? kCalibrationText : read_file(o.calibrate);
  const int length = std::min(kRowLength, read_spec(o.source).max_position_embeddings);
  CalibrateOptions c = calibration_rows(encode_rows(tokenizer, text, length, o.tokens / length), length, o.tokens);
  c.bits = o.bits;
  return c;
}

void run(const QuantizeAsked& o) {
  std::unique_ptr<Progress> progress;
  QuantizeOptions options{.type = dtype_from_name(o.type, "--type"), .threads = o.threads};
  options.progress = [&](int64_t done, int64_t total) {
    if (!progress) progress = std::make_unique<Progress>("quantize " + o.source, total, "weights");
    progress->update(done);
  };
  const bool asked = o.calibrate != "none" && options.type != DType::bf16;
  require(o.bits == 0 || asked, "--bits needs a calibration text, and --type int4 or int8");
  const bool calibrated = asked && (o.calibrate != "default" || o.bits > 0 || has_tokenizer(o.source));
  if (asked && !calibrated)
    fmt::print("{} has no tokenizer to read a calibration text with: rounded plainly\n", o.source);
  const QuantizeReport r = calibrated ? quantize_calibrated(o.source, o.target, options, calibration(o))
                                      : quantize_model(o.source, o.target, options);
  if (progress) progress->finish();
  for (const std::string& remark : r.remarks) fmt::print("{}\n", remark);
  fmt::print("{}: {} of {} matrices converted to {}, {:.1f} MB of weights where {} has {:.1f}; {:.2f} bits a weight\n",
             o.target, r.converted, r.matrices, o.bits > 0 ? "int4 and int8" : o.type,
             static_cast<double>(r.bytes) * 1e-6, o.source, static_cast<double>(r.source_bytes) * 1e-6, r.bits);
}

}  // namespace

void add_quantize_command(CLI::App& c, int&) {
  auto o = std::make_shared<QuantizeAsked>();
  c.add_option("source", o->source, "model folder to read")->required();
  c.add_option("target", o->target, "folder to make")->required();
  c.add_option("--type", o->type, "of the matrices")->required()->check(CLI::IsMember({"bf16", "int8", "int4"}));
  c.add_option("--calibrate", o->calibrate,
               "text file to round by, default: a mixture of English, sums and code, none: plain rounding")
      ->capture_default_str();
  add_number(c, "--calibrate-tokens", o->tokens, "of the text, at most", 1);
  add_number(c, "--bits", o->bits,
             "a weight over the whole model: int4, and int8 where measurement says that it matters most (0: no limit)",
             0, 16);
  add_threads(c, o->threads);
  c.callback([o] { run(*o); });
}

}  // namespace jet
