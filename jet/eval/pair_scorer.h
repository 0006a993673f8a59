// Texts priced after other texts, as lm-evaluation-harness asks for them:
//
//   | what comes before | what is scored |        log p of the right part's tokens; whether each is the likeliest
//   read once for all that follow it             beginnings that several have in common: by the prefix cache
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "jet/engine/engine.h"

namespace jet {

/// log p of all tokens, in nats, and whether each is the likeliest.
struct PairScore {
  double logprob = 0;
  bool is_greedy = true;
};
using Pair = std::pair<std::vector<int32_t>, std::vector<int32_t>>;  // what comes before, what is scored

/// Rows of logits that a pass may show at most.
int64_t logit_rows(const Engine& engine);

/// `pause` is called between passes; what it throws ends the work. Throws Error on a part without tokens, and on pairs
/// that the model's context does not hold.
std::vector<PairScore> score_pairs(Engine& engine, const std::vector<Pair>& pairs,
                                   const std::function<void()>& pause = {});

}  // namespace jet
