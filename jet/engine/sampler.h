// Picking the next token from logits: greedy at temperature 0, else softmax(logits / temperature) restricted to the
// top_k most likely and to the smallest set with probability top_p; seeded.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "jet/base/rng.h"
#include "jet/engine/engine.h"

namespace jet {

struct SamplerOptions {
  float temperature = 0;
  int top_k = 0;  // 0: all
  float top_p = 1;
  uint64_t seed = 0;
};

class Sampler {
 public:
  /// Throws Error on options outside their range.
  explicit Sampler(const SamplerOptions& options);
  int32_t sample(std::span<const float> logits);

 private:
  SamplerOptions options_;
  Rng rng_;
  std::vector<std::pair<float, int32_t>> sorted_;
};

struct GenerateOptions {
  int max_new_tokens = 128;
  bool ignore_eos = false;
  SamplerOptions sampler{};
};

/// Whether `id` ends a text: an eos of the model, unless they are ignored.
bool ends_text(const ModelSpec& spec, const GenerateOptions& options, int32_t id);

/// Prefills `prompt` into `sequence` and samples until eos, max_new_tokens, the context limit, or on_token returns
/// false. Returns the new ids (eos not included).
std::vector<int32_t> generate(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt,
                              const GenerateOptions& options, const std::function<bool(int32_t)>& on_token = {});

}  // namespace jet
