// Options of samplers for the laws that hold for every list of steps: each step alone, all of them, and none.
#pragma once

#include <limits>
#include <memory>
#include <vector>

#include "jet/engine/sampler.h"

namespace jet {

/// A grammar whose text may have `id` at place n where allows(n, id).
template <class F>
std::shared_ptr<const TokenGrammar> test_grammar(int64_t vocab, F allows) {
  struct Matcher : TokenMatcher {
    Matcher(int64_t n, F f) : set(n), vocab(static_cast<int32_t>(n)), allows(f) {}
    const TokenSet& allowed(std::span<const int32_t> made) override {
      set = TokenSet(vocab);
      for (int32_t id = 0; id < vocab; ++id)
        if (allows(made.size(), id)) set.add(id);
      return set;
    }
    bool is_whole(std::span<const int32_t>) override { return false; }
    TokenSet set;
    int32_t vocab;
    F allows;
  };
  struct Grammar : TokenGrammar {
    Grammar(int64_t n, F f) : vocab(n), allows(f) {}
    std::unique_ptr<TokenMatcher> start() const override { return std::make_unique<Matcher>(vocab, allows); }
    int64_t vocab;
    F allows;
  };
  return std::make_shared<Grammar>(vocab, allows);
}

/// Allows a third of the ids at each place, another one at the next.
inline std::shared_ptr<const TokenGrammar> by_turns(int64_t vocab) {
  return test_grammar(vocab, [](size_t n, int32_t id) { return id % 3 == static_cast<int32_t>(n % 3); });
}

/// For vocabularies of 20 ids or more.
inline std::vector<SamplerOptions> test_samplers(uint64_t seed, int64_t vocab = 61) {
  const std::vector<std::pair<int32_t, float>> bias = {
      {3, 1.5f}, {7, -std::numeric_limits<float>::infinity()}, {11, -2}};
  std::vector<SamplerOptions> list = {
      {},
      {.repetition_penalty = 1.4f},
      {.presence_penalty = 0.7f, .frequency_penalty = 0.4f},
      {.logit_bias = bias},
      {.grammar = by_turns(vocab)},
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
       .grammar = by_turns(vocab),
       .top_logprobs = 3},
  };
  for (SamplerOptions& o : list) o.seed = seed;
  return list;
}

}  // namespace jet
