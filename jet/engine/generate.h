// One decoding machine. Whatever runs the passes (generate() here, the scheduler, prompt lookup), each text is made by
// a Decoding, which alone knows when it ends:
//
//   logits --> sampler --> id --> one that ends a text? ------------------------> eos (not kept)
//                                  | kept; its bytes --> text stream
//                                  +--> the listener returned false ------------> stopped
//                                  +--> its grammar lets nothing follow ---------> grammar
//                                  +--> a stop string is whole -----------------> stop_string (not part of the text)
//                                  +--> max_new_tokens are made ----------------> length
//                                  +--> the model's positions are full ---------> context
//
// The last token of a text is made, not run: as many tokens fit as the model has positions, and one more.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "jet/engine/engine.h"
#include "jet/engine/sampler.h"
#include "jet/text/text_stream.h"
#include "jet/text/tokenizer.h"

namespace jet {

struct GenerateOptions {
  int max_new_tokens = 128;
  bool ignore_eos = false;  // where no grammar says when the text ends
  SamplerOptions sampler{};
  const Tokenizer* tokenizer = nullptr;     // the model's, where text is wanted; it must outlive the generation
  std::vector<std::string> stop_strings{};  // texts that end it; they want a tokenizer
};

enum class Finish { none, eos, stop_string, length, context, stopped, grammar };
const char* name_of(Finish finish);

/// What was made. The ids hold no eos; the text holds neither special tokens nor the stop string.
struct Generated {
  std::vector<int32_t> ids{};
  std::string text{};  // where there is a tokenizer
  Finish finish = Finish::none;
};

struct NewToken : Draw {
  /// The text that became certain with it. What is held back at the end has no token: a listener finds it at the end of
  /// Generated::text.
  std::string text{};
};

/// Told of each token when it is kept; false ends the generation.
using OnToken = std::function<bool(const NewToken&)>;

/// The ids that end a text of this model; none where they are ignored.
std::span<const int> ends_of_text(const Engine& engine, bool ignore_eos);
/// Tokens that may be made after `read` ones. Throws Error where max_new_tokens is negative.
int64_t most_new_tokens(const Engine& engine, int64_t read, int max_new_tokens);

/// One text on its way.
class Decoding {
 public:
  /// Goes on from `prompt`, which stands after `before` other tokens, and writes into `made`; engine, tokenizer and
  /// `made` must outlive it. Throws Error on options outside their range.
  Decoding(const Engine& engine, std::span<const int32_t> prompt, const GenerateOptions& options, OnToken on_token,
           Generated& made, int64_t before = 0);

  /// Draws and takes the next token from the logits after ids(). Not to be called when it is over.
  void advance(std::span<const float> logits);
  bool over() const { return made_.finish != Finish::none; }
  /// The prompt and what was made.
  std::span<const int32_t> ids() const { return ids_; }
  int64_t size() const { return static_cast<int64_t>(ids_.size()); }
  /// Tokens that may still be made.
  int64_t left() const { return most_ - static_cast<int64_t>(made_.ids.size()); }

 private:
  std::string text_of(int32_t id);
  Finish finish_after(bool goes_on) const;
  void end(Finish finish);

  GenerateOptions options_;
  OnToken on_token_;
  std::span<const int> ends_;
  int64_t most_;
  Sampler sampler_;
  TextStream stream_;
  bool named_stop_ = false;  // a special token is one of the stop strings
  std::vector<int32_t> ids_;
  size_t prompt_;
  Generated& made_;
};

/// Prefills `prompt` into `sequence` and draws until the text ends. The sequence then holds all but the last token, and
/// where an eos ended the text, that one too.
Generated generate(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt, const GenerateOptions& options,
                   const OnToken& on_token = {});

}  // namespace jet
