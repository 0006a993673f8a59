// The speed meter: a prompt or a step at a depth, timed, with the least work that it can do, so that a report can say
// what fraction of the machine was used (machine.h measures the machine). Depths are filled synthetically.
//
//   decode moves   weights once, each sequence's cache once, a step      (bytes/s against memory's)
//   prefill works  as jet/model/count_ops.h counts FLOPs
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "jet/engine/engine.h"

namespace jet {

/// What is timed: a prompt of `tokens` after `depth` others, or one step of `batch` sequences, each `depth` deep.
struct Stage {
  enum Kind { prefill, decode } kind = decode;
  int64_t depth = 0, tokens = 1;  // tokens: the prompt's; 1 in a step
  int batch = 1;

  std::string label() const;  // "prefill 512 @0", "decode x8 @4096"
};

struct SpeedOptions {
  int prefill = 512;  // tokens of a timed prompt, for measure_by_turns()
  int batch = 1;      // sequences of a step, likewise
  int decode = 32;    // steps of a repeat
  int repeats = 3;
  uint64_t seed = 1;  // of ids and states
};

struct Work {
  double bytes = 0, flops = 0;
};

/// What the machine gives at one moment: bytes/s read, FLOP/s of products.
struct Moment {
  double read = 0, gemm = 0;
};

struct Timing {
  Stage stage;
  std::vector<double> seconds{};  // a repeat's prompt, or the mean of its steps
  std::vector<Moment> moments{};  // before the first repeat, and after each, the metered one included
  Work work{};                    // of one prompt or step, by work_of()
  int64_t cache_bytes = 0;        // all sequences' states at this depth, by the model's shapes
  int64_t held_bytes = 0;         // what they really held, after the timed tokens
  // One more repeat, metered: all of its time, and the part of each kind of op.
  double metered_seconds = 0;
  int64_t metered_passes = 0;  // prompts or steps in it
  std::map<std::string, OpTotals> kinds{};
};

/// `look` is asked for the moments, where it is given. Throws where the options are not positive or the model has too
/// few positions.
Timing measure_stage(Engine& engine, const Stage& stage, const SpeedOptions& options = {},
                     const std::function<Moment()>& look = {});
/// Positions that a stage needs of the model.
int64_t positions_of(const Stage& stage, const SpeedOptions& options);

/// Medians of one engine at one context.
struct SpeedPoint {
  int64_t context = 0;      // tokens before the timed ones
  double prefill_tps = 0;   // tokens/s of options.prefill tokens appended there
  double decode_tps = 0;    // tokens/s of all options.batch sequences
  double speedup = 1;       // of decode over the first engine, turn by turn
  int64_t cache_bytes = 0;  // one sequence's state, by the model's shapes
};

/// At each context, in ascending order, every engine takes its turn in each repeat: what slows the machine for a while
/// slows all of them. By engine.
std::vector<std::vector<SpeedPoint>> measure_by_turns(const std::vector<Engine*>& engines,
                                                      const std::vector<int64_t>& contexts,
                                                      const SpeedOptions& options = {});

/// What the cost model (jet/model/model_cost.h) counts for one prompt or step, by kind of op.
std::map<std::string, Count> count_stage(const Engine& engine, const Stage& stage, const SpeedOptions& options);
/// Weights and states read once a pass, and FLOPs.
Work work_of(const Engine& engine, const Stage& stage, const SpeedOptions& options);

}  // namespace jet
