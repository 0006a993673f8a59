// jet bench train: what training steps of real sizes cost on this machine, in time and memory, beside the cost model.
// Rows: the teacher's forward pass with its logits, then whole steps with the optimiser: supernet (one path), stage 1
// end to end and layer by layer, stage 2. Ids are random; a shape's weights are, too, and lie in a file while it is
// mapped.
//
//   {"format": "jet bench train 1", "machine", "device", "model", "student", "precision", "rows", "length", "steps",
//    "checkpoint_activations", "on_disk", "parameters", "base_bytes",
//    "lines": [{"what": "stage 1", "block", "tokens", "seconds", "tps", "trained",
//               "flops",             a token's, by the cost model
//               "peak_flops",        of fp32 or bf16 products, probed right before (GPU: a large product of torch's)
//               "share",             of that peak
//               "peak_bytes",        most resident at once (VmHWM), mapped files included; GPU: most allocated there
//               "anonymous_bytes",   most at once that is no file's (RssAnon, sampled every 20 ms)
//               "predicted_bytes"}]} the cost model's: the base as it lies, 16 a trained number, activations in fp32
#pragma once

#include <string>
#include <vector>

#include "jet/base/json.h"

namespace jet {

struct TrainBenchOptions {
  std::string model, shape;                   // a folder, or a published shape
  std::string student;                        // a shape; "": the base with `full` layers left and each of `blocks`
  std::vector<std::string> blocks = {"jet"};  // of stages 1 and 2
  std::string branch = "gla";                 // of the supernet
  int full = 2;
  std::vector<std::string> lines;  // of train_bench_lines(); empty: all whole steps
  int rows = 1, length = 512, steps = 1;
  bool keep_activations = false, on_disk = false;
  std::string device = "auto", precision = "auto";  // as in a recipe
  int threads = 0;
  uint64_t seed = 1;
};

/// "teacher", "supernet", "stage1", "local", "stage2"; and, only if named, "stage2-layers" (all but embedding and head)
/// and "recurrence" (the gated delta rule of one layer by itself).
std::vector<std::string> train_bench_lines();
/// Throws where an option names nothing that exists.
Json train_bench(const TrainBenchOptions& o);
std::string train_bench_text(const Json& report);

}  // namespace jet
