// Options of samplers for the laws that hold for every list of steps: each step alone, all of them, and none.
#pragma once

#include <limits>
#include <vector>

#include "jet/engine/sampler.h"

namespace jet {

/// Allows a third of the ids at each place, another one at the next: what a grammar's mask is like.
inline void allow_by_turns(const History& history, std::vector<bool>& allowed) {
  for (size_t id = history.ids.size() % 3; id < allowed.size(); id += 3) allowed[id] = true;
}

/// For vocabularies of 20 ids or more.
inline std::vector<SamplerOptions> test_samplers(uint64_t seed) {
  const std::vector<std::pair<int32_t, float>> bias = {
      {3, 1.5f}, {7, -std::numeric_limits<float>::infinity()}, {11, -2}};
  std::vector<SamplerOptions> list = {
      {},
      {.repetition_penalty = 1.4f},
      {.presence_penalty = 0.7f, .frequency_penalty = 0.4f},
      {.logit_bias = bias},
      {.mask = allow_by_turns},
      {.temperature = 1.2f},
      {.temperature = 1.2f, .top_k = 9},
      {.temperature = 1.2f, .top_p = 0.8f},
      {.temperature = 1.2f, .min_p = 0.2f},
      {.temperature = 1.2f, .typical_p = 0.7f},
      {.temperature = 0.8f,
       .top_k = 30,
       .top_p = 0.95f,
       .min_p = 0.01f,
       .typical_p = 0.9f,
       .repetition_penalty = 1.1f,
       .presence_penalty = 0.3f,
       .frequency_penalty = 0.2f,
       .logit_bias = bias,
       .mask = allow_by_turns,
       .top_logprobs = 3},
  };
  for (SamplerOptions& o : list) o.seed = seed;
  return list;
}

}  // namespace jet
