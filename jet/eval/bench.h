// A bench: stages one after another, with probes of the machine before each of them and after the last. The machine's
// bandwidth moves by tens of per cent within seconds, so it is looked at between the repeats of a stage as well: a
// repeat's percentage is of the mean of the two looks beside it, and the spread of all probes goes with the report.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "jet/eval/cost.h"
#include "jet/eval/machine.h"
#include "jet/eval/speed.h"

namespace jet {

struct BenchPlan {
  std::vector<int64_t> depths{0, 4096, 16384, 65536, 262144};  // of decode
  std::vector<int> batches{1};
  std::vector<int64_t> prefill{512, 2048}, prefill_depths{0};
  SpeedOptions speed{};
  DType type = DType::bf16;  // of the weights: which products' peak is probed
  int64_t probe_bytes = int64_t{512} << 20;
  int probe_passes = 5;
  bool predict = false;  // beside every measurement, what the cost model says of it
};

struct Probe {
  std::string before;  // a stage's label, or "end"
  Rate read, fma, gemm;
};

struct BenchRun {
  std::vector<Probe> probes;
  std::vector<Timing> timings;
  std::vector<std::string> left_out;  // "decode x8 @65536: needs ..."
  std::vector<double> predicted{};    // seconds of each timing's prompt or step, where the plan asks for it
};

/// Every prompt at every prefill depth, then every batch at every depth; prompts and batches of 0 are none. Throws
/// where a number is below zero or nothing is left.
std::vector<Stage> stages_of(const BenchPlan& plan);
/// Runs the stages; those that the model's positions or the free memory do not allow are left out, with the reason.
/// `on_stage` is told of each before it starts.
BenchRun run_bench(Engine& engine, const BenchPlan& plan, const std::function<void(const Stage&)>& on_stage = {});

}  // namespace jet
