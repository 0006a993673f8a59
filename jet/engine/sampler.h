// From logits to the next token. A sampler is an ordered list of steps, some of which change logits and some of which
// leave choices out; what an option leaves at its neutral value is no step at all:
//
//   logits --> grammar --> logit bias --> repetition penalty --> presence, frequency --- temperature 0 --> the greatest
//                                                                                   |
//             draw <-- typical-p <-- min-p <-- top-p <-- top-k <-- exp(l / temperature)
//
//   grammar               l = -inf for ids that it does not allow
//   logit bias            l[id] += b                                                           (OpenAI)
//   repetition penalty    l = l > 0 ? l / r : l * r, each id of the prompt and of what was made (Keskar 2019)
//   presence, frequency   l -= p + f * n, each id that was made n > 0 times                     (OpenAI)
//   top-k                 the k likeliest; of equals, the lower ids
//   top-p                 the fewest of the likeliest that have probability p together           (Holtzman 2020)
//   min-p                 those at least min_p times as likely as the likeliest                  (Nguyen 2024)
//   typical-p             the fewest with probability p together whose surprise -log q is nearest to the entropy of
//                         all; those as near as the last, too                                    (Meister 2023)
//
// Order and meaning are those of transformers' logits processors and warpers (a temperature of 0 is its
// do_sample=False); what it lacks (presence, frequency) stands where vLLM has it. llama.cpp cuts first and takes the
// temperature last. Each probability is one of those that the steps before have left.
//
// All steps are linear in the vocabulary, or sort little more of it than what they keep. The same seed gives the same
// ids.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "jet/base/rng.h"
#include "jet/engine/token_grammar.h"
#include "jet/model/generation_config.h"

namespace jet {

/// What steps see of the past: the prompt, then what was made.
struct History {
  std::span<const int32_t> ids;
  size_t prompt = 0;  // ids of the prompt
  std::span<const int32_t> made() const { return ids.subspan(prompt); }
};

struct SamplerOptions {
  float temperature = 0;  // 0: always the likeliest
  int top_k = 0;          // 0: all
  float top_p = 1;
  float min_p = 0;
  float typical_p = 1;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::vector<std::pair<int32_t, float>> logit_bias{};  // -inf: never
  std::shared_ptr<const TokenGrammar> grammar{};        // null: any text
  int top_logprobs = -1;  // with every id, its log-probability and so many of the likeliest ids' (-1: nothing)
  uint64_t seed = 0;
};

/// Throws Error on options outside their range; `where` begins its text.
void check_sampler(const SamplerOptions& options, const std::string& where = {});

/// `options` with what the caller asks for; what that leaves open is the model's, and then the option's own. Sampling
/// without a temperature is at 1, a model that does not ask for sampling is greedy.
SamplerOptions with_settings(SamplerOptions options, const SamplingSettings& asked, const SamplingSettings& model);

/// The steps that change logits. A beam search takes them, too.
class LogitSteps {
 public:
  /// Throws Error on a bias of an id outside the vocabulary.
  LogitSteps(const SamplerOptions& options, int64_t vocab);
  /// Whether a grammar lets nothing but an end follow.
  bool is_whole(const History& history) const { return matcher_ && matcher_->is_whole(history.made()); }
  bool empty() const { return steps_.empty(); }
  /// `history` holds ids of the vocabulary. Throws Error where no token is left.
  void apply(std::span<float> logits, const History& history) const;

 private:
  std::shared_ptr<TokenMatcher> matcher_;  // null: any text
  std::vector<std::function<void(std::span<float>, const History&)>> steps_;
};

/// An id that may come next. `p` is its probability up to a factor that is one for all.
struct Choice {
  float p;
  int32_t id;
};

struct Draw {
  int32_t id = 0;
  // Where asked for: log softmax of the logits as the model gave them, of the id and of the likeliest, falling.
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top{};
};

class Sampler {
 public:
  /// Throws Error on options outside their range.
  Sampler(const SamplerOptions& options, int64_t vocab);
  /// The next id. Throws Error on logits that hold NaN or infinity, and where the steps leave no id.
  Draw draw(std::span<const float> logits, const History& history = {});
  /// What draw() chooses among, good until the next call.
  std::span<const Choice> choices(std::span<const float> logits, const History& history = {});
  /// Whether a grammar lets nothing but an end follow.
  bool is_whole(const History& history) const { return logit_steps_.is_whole(history); }

 private:
  SamplerOptions options_;
  LogitSteps logit_steps_;
  std::vector<std::function<void(std::vector<Choice>&)>> cuts_;
  Rng rng_;
  std::vector<float> changed_;   // logits after logit_steps_
  std::vector<Choice> choices_;  // of the present draw
};

}  // namespace jet
