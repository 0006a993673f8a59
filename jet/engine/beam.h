// Beam search, with the semantics of transformers' generate(num_beams=...), do_sample=False.
//
//   score of a running beam       s = sum of log softmax(logits)[token]
//   score of a finished one       s / n^length_penalty,   n = its new tokens, eos included
//
// A step takes the best (1 + eos ids, at least 2) * num_beams continuations of all running beams. Those that end (in an
// eos, or at the length limit) join the finished ones where they are among the first num_beams; the finished keep their
// num_beams best. The best num_beams others run on. With num_beams finished ones, the search ends
//
//   early_stopping yes     at once
//   early_stopping no      when the best running beam, were it finished at its present length, is no better than the
//                          worst finished one
//   early_stopping never   the same, but were it finished at the length limit where length_penalty > 0: no better one
//                          can come
//
// The sampler's steps that change logits (sampler.h) work on log softmax(logits) before it is added, each beam's own
// history in view.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "jet/engine/generate.h"

namespace jet {

enum class EarlyStopping { no, yes, never };

/// "true", "false" or "never"; throws Error on anything else.
EarlyStopping early_stopping_from(const std::string& text);

struct BeamOptions {
  int num_beams = 4;
  float length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::no;
  int max_new_tokens = 128;
  bool ignore_eos = false;
  SamplerOptions sampler{};                    // bias, penalties and mask; nothing is drawn
  std::optional<std::vector<int32_t>> ends{};  // ids that end a text, in place of the model's
  std::function<void()> before_pass{};         // what it throws ends the search
};

struct Beam {
  std::vector<int32_t> ids{};  // new tokens, eos not included
  float score = 0;
  Finish finish = Finish::none;
  int32_t end = -1;  // the eos that it ended with
};

/// Prefills `prompt` into `sequence`, where it stays, and searches on forks of it. The best beams, best first; at most
/// num_beams, and one of no tokens where max_new_tokens is 0. Throws Error on options outside their range.
std::vector<Beam> beam_search(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt,
                              const BeamOptions& options);

}  // namespace jet
