// A bench as JSON, and that JSON as text: tables of a run, and old against new.
//
//   {"format": "jet bench 1", "machine", "isa", "threads", "model", "type", "kv", "state",
//    "parameters", "weight_bytes", "seed", "steps", "repeats", "prefill_chunk",
//    "peak":   {"read", "read_low", "fma", "gemm"}        bytes/s and FLOP/s; best of all probes; the lowest
//    "probes": [{"before", "read", "fma", "gemm"}]        median of each
//    "stages": [{"stage", "kind", "depth", "batch", "tokens", "seconds": [..], "tps", "tps_low", "tps_high",
//                "bytes", "flops", "cache_bytes", "held_bytes", "read_share", "gemm_share",
//                "predicted_tps",                         where predictions were asked for
//                "predicted_error",                       of the time
//                "kinds": [{"kind", "calls", "seconds", "share", "bytes", "flops", "read_share", "gemm_share"}]}]
//    "left_out": ["decode x8 @262144: needs ..."]}
//
// seconds, bytes and flops are of one prompt or one step; a kind's are its part of it in the metered repeat.
#pragma once

#include <string>

#include "jet/base/json.h"
#include "jet/eval/bench.h"

namespace jet {

/// `model`: how the reader knows it, "jet-2b" or a folder.
Json bench_report(const std::string& model, const Engine& engine, const BenchPlan& plan, const BenchRun& run);
/// The machine, the probes, a line a stage, then a line a kind of op.
std::string bench_text(const Json& report);
/// Old, new and their ratio (above 1: new is faster) a stage and kind; and the ratio with each run divided by its own
/// probe (read bandwidth for decode, products for prefill). Throws where a report is none of ours.
std::string compare_benches(const Json& old_report, const Json& new_report);

}  // namespace jet
