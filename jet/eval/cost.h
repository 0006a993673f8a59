// Predicted speed: what the cost model counts (jet/model/model_cost.h), priced by what this machine takes for each kind
// of op.
//
//   seconds of a pass = sum over kinds of  ops * overhead + work / rate
//
// A kind's overhead and rate are measured with the engine on two probe models, one of small and one of large matrices,
// whose weights fill as much memory as the model's, in a pass of as many tokens (two equations, two unknowns). Work is
// bytes in decode steps (weights and states for products, attention and recurrences; activations for all else), and in
// prompts FLOPs of the former: for a given number of tokens, a product's bytes and FLOPs are proportional.
#pragma once

#include <map>
#include <string>

#include "jet/engine/engine.h"
#include "jet/eval/speed.h"
#include "jet/model/model_cost.h"

namespace jet {

/// Seconds that `ops` ops of one kind took for so much work.
struct RateSample {
  double ops = 0, work = 0, seconds = 0;
};

struct KindRate {
  double overhead = 0;  // seconds an op beside its work
  double rate = 0;      // bytes/s or FLOP/s
};

/// Overhead and rate that explain both samples; neither is negative.
KindRate fit_rate(const RateSample& small, const RateSample& large);

/// This machine, for models whose matrices are of one type and for one kind of stage.
struct Machine {
  Stage::Kind stage = Stage::decode;
  std::map<std::string, KindRate> kinds{};
  double rest = 0;  // seconds an op that belong to no kind: between ops, embedding, logits

  /// Seconds of a pass; throws where a kind was not measured.
  double seconds(const std::map<std::string, Count>& pass) const;
};

/// Keeps the probe models, so that a machine whose speed drifts can be measured again and again.
class MachineProbe {
 public:
  /// `weight_bytes`: of the models to predict; beyond the caches (192 MiB) more makes no difference.
  MachineProbe(DType weights, int64_t weight_bytes, const EngineOptions& options);
  /// For stages like this one: its batch, a depth within 256 .. 4096, a prompt of at most 128 tokens.
  Machine measure(const Stage& stage);

 private:
  std::shared_ptr<Engine> small_, large_;
};

/// Tokens/s of all sequences together; the machine as measured for this batch.
double predict_decode(const ModelSpec& spec, const Machine& machine, int64_t context, int batch,
                      const CountTypes& types);
double predict_prefill(const ModelSpec& spec, const Machine& machine, int64_t context, int64_t tokens, int64_t most,
                       const CountTypes& types);

}  // namespace jet
