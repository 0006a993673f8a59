// What a pass of a whole model costs, by layer and kind of op: count_ops.h over transformer.h.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "jet/model/count_ops.h"
#include "jet/model/spec.h"

namespace jet {

struct ModelCost {
  /// By kind of op ("linear bf16", "attention", ...): an entry a layer; the last one is the embedding, the final norm
  /// and the head.
  std::vector<std::map<std::string, Count>> layers;

  Count layer(size_t i) const;
  std::map<std::string, Count> kinds() const;
  Count total() const;
};

/// Which parameters are trained, by name.
using IsTrained = std::function<bool(const std::string& name)>;
inline bool none_trained(const std::string& /*name*/) { return false; }
inline bool all_trained(const std::string& /*name*/) { return true; }
inline bool layers_trained(const std::string& name) { return !is_vocabulary_parameter(name); }

/// Matrices as `jet quantize` would store them in this type, everything else in fp32: what the engine holds.
CountTypes engine_types(DType weights, DType kv = DType::bf16, DType state = DType::f32);
/// Every parameter in one type.
CountTypes plain_types(DType weights, int activation_bytes);

/// Bytes of all parameters.
int64_t weight_bytes(const ModelSpec& spec, const CountTypes& types);

ModelCost count_model(const ModelSpec& spec, const CountPass& pass, const CountTypes& types,
                      const IsTrained& trained = none_trained);
/// A prompt in passes of at most `most` tokens, with the logits of the last one.
ModelCost count_prompt(const ModelSpec& spec, int64_t context, int64_t tokens, int64_t most, const CountTypes& types);

/// FLOPs of one token after `context` others, with its logits.
double token_flops(const ModelSpec& spec, int64_t context);

/// Tokens that the engine's recurrences, and a trainer's, take at once.
constexpr int64_t kEngineChunk = 32, kTrainChunk = 64;

}  // namespace jet
