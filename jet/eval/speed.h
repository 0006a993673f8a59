// The speed meter: prefill and decode at a depth, each with the least work it can do, so that a report can say what
// fraction of the machine was used (machine.h measures the machine).
//
//   depth:    | real prefill of random ids | `prefill` ids, timed | fork | `decode` steps, timed |
//
// decode moves   weights once + the sequence's cache once, a token        (bytes/s against memory's)
// prefill works  2 FLOP a weight and token, 4 heads * head_dim a visible (query, key) pair, 4 an element of fixed state
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "jet/base/json.h"
#include "jet/engine/engine.h"
#include "jet/eval/machine.h"

namespace jet {

struct SpeedOptions {
  int prefill = 512;                                // tokens of a timed prompt
  int decode = 64;                                  // timed steps
  int repeats = 3;                                  // medians are reported
  double fill_seconds = 120;                        // depths that take longer to reach are left out
  uint64_t seed = 1;                                // of the ids
  std::function<void(int64_t tokens)> on_tokens{};  // told of every piece of work as it is done
};

struct SpeedPoint {
  int64_t context = 0;       // tokens before the timed ones
  double prefill_tps = 0;    // tokens/s of `prefill` tokens appended there
  double prefill_flops = 0;  // FLOP/s, by prefill_flops() below
  double decode_tps = 0;     // tokens/s of one sequence
  double decode_gbs = 0;     // 1e9 bytes/s, by decode_bytes() below
  int64_t cache_bytes = 0;   // one sequence's state at this depth, by the model's shapes
  int64_t held_bytes = 0;    // what the sequence really held
  Json to_json() const;
};

/// Points in ascending order of context. Depths not reached within `fill_seconds` (of all filling together) are
/// missing. Throws where a context and its timed tokens exceed the model's positions.
std::vector<SpeedPoint> measure(Engine& engine, const std::vector<int64_t>& contexts, const SpeedOptions& options = {});

/// The deepest context that leaves room for the timed tokens; negative where none does.
int64_t deepest_context(const ModelSpec& spec, const SpeedOptions& options);
/// All tokens that measure() will run.
int64_t tokens_to_measure(const std::vector<int64_t>& contexts, const SpeedOptions& options);

/// Bytes one decode step must read at a depth: each weight once (of an untied embedding one row), the cache once.
double decode_bytes(const ModelSpec& spec, int64_t weight_bytes, int64_t context, int row_bytes);
/// FLOPs to append `tokens` after `context` others, with the logits of the last one.
double prefill_flops(const ModelSpec& spec, int64_t context, int64_t tokens);

}  // namespace jet
