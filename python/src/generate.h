// generate() of transformers on the engine: which of its machines makes a text, and what the text holds.
//
//   num_beams > 1            beam_search        one prompt after another
//   a state, or lookup       Decoding, drafts   one prompt, appended to the state
//   otherwise                Scheduler          all prompts at once, by continuous batching
//
// As in transformers a text ends with its eos, which is part of it: `ends` is looked at here, and the machines ignore
// the model's own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "jet/engine/sampler.h"
#include "jet/text/tokenizer.h"
#include "python/src/model.h"

namespace jet::python {

/// Named as transformers names them; what is neutral there is neutral here.
struct Settings : SamplerOptions {
  int max_new_tokens = 20, min_new_tokens = 0;
  int no_repeat_ngram_size = 0;
  std::vector<int32_t> ends{};
  std::vector<std::string> stop_strings{};
  int lookup = 0;  // tokens of a draft
  int num_beams = 1, num_return_sequences = 1;
  float length_penalty = 1;
  std::string early_stopping = "false";  // true, false, never
};

struct Text {
  std::vector<int32_t> ids{};  // new ones, the eos included
  std::string finish{};        // eos, stop_string, length, context
  float score = 0;             // of a beam
};

struct Job {
  std::vector<std::vector<int32_t>> prompts;
  Settings settings;
  const Tokenizer* tokenizer = nullptr;                    // for stop strings
  std::function<void(size_t row, int32_t id)> on_token{};  // what it throws ends all
  Pause pause;
};

/// A text a prompt, of a beam search num_return_sequences, best first. The seed of row i is seed + i. Throws Error on
/// options outside their range and prompts that do not fit.
std::vector<Text> generate_all(Model& model, const Job& job);
/// The one prompt is appended to `state`, which then holds all that was made.
Text generate_on(State& state, const Job& job);

}  // namespace jet::python
