#include "jet/engine/generate.h"

#include <algorithm>
#include <utility>

namespace jet {

const char* name_of(Finish finish) {
  switch (finish) {
    case Finish::none: return "none";
    case Finish::eos: return "eos";
    case Finish::stop_string: return "stop_string";
    case Finish::length: return "length";
    case Finish::context: return "context";
    case Finish::stopped: return "stopped";
    case Finish::grammar: return "grammar";
  }
  return "?";
}

std::span<const int> ends_of_text(const Engine& engine, bool ignore_eos) {
  if (ignore_eos) return {};
  return engine.generation().eos_token_id;
}

int64_t most_new_tokens(const Engine& engine, int64_t read, int max_new_tokens) {
  require(max_new_tokens >= 0, "max_new_tokens is {}, expected 0 or more", max_new_tokens);
  return std::min<int64_t>(max_new_tokens, engine.spec().max_position_embeddings - read + 1);
}

Decoding::Decoding(const Engine& engine, std::span<const int32_t> prompt, const GenerateOptions& options,
                   OnToken on_token, Generated& made, int64_t before)
    : options_(options), on_token_(std::move(on_token)),
      ends_(ends_of_text(engine,
                         options.ignore_eos && !(options.sampler.grammar && options.sampler.grammar->rules_ends()))),
      most_(most_new_tokens(engine, before + static_cast<int64_t>(prompt.size()), options.max_new_tokens)),
      sampler_(options.sampler, engine.spec().vocab_size), stream_(options.stop_strings),
      ids_(prompt.begin(), prompt.end()), prompt_(prompt.size()), made_(made) {
  require(options.tokenizer || options.stop_strings.empty(), "stop strings are found in text: give the tokenizer, too");
  made_ = {};
  if (options.max_new_tokens == 0) end(Finish::length);
}

void Decoding::advance(std::span<const float> logits) {
  NewToken token{sampler_.draw(logits, {ids_, prompt_})};
  if (std::find(ends_.begin(), ends_.end(), token.id) != ends_.end()) return end(Finish::eos);
  token.text = text_of(token.id);
  ids_.push_back(token.id);
  made_.ids.push_back(token.id);
  made_.text += token.text;
  const bool goes_on = !on_token_ || on_token_(token);
  const Finish finish = finish_after(goes_on);
  if (finish != Finish::none) end(finish);
}

/// The text that becomes certain with `id`. Special tokens are not in it, but a stop string may name one.
std::string Decoding::text_of(int32_t id) {
  if (!options_.tokenizer) return {};
  const std::string& bytes = options_.tokenizer->bytes_of(id);
  if (!options_.tokenizer->is_special(id)) return stream_.add(bytes);
  named_stop_ =
      std::find(options_.stop_strings.begin(), options_.stop_strings.end(), bytes) != options_.stop_strings.end();
  return {};
}

Finish Decoding::finish_after(bool goes_on) const {
  if (!goes_on) return Finish::stopped;
  if (stream_.stopped() || named_stop_) return Finish::stop_string;
  if (sampler_.is_whole({ids_, prompt_})) return Finish::grammar;
  if (left() > 0) return Finish::none;
  return static_cast<int64_t>(made_.ids.size()) == options_.max_new_tokens ? Finish::length : Finish::context;
}

void Decoding::end(Finish finish) {
  made_.text += stream_.finish();
  made_.finish = finish;
}

Generated generate(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt, const GenerateOptions& options,
                   const OnToken& on_token) {
  Generated made;
  Decoding decoding(engine, prompt, options, on_token, made, sequence.length());
  std::span<const float> logits = engine.prefill(sequence, prompt);
  while (!decoding.over()) {
    decoding.advance(logits);
    if (decoding.over()) break;
    Step step{&sequence, decoding.ids().last(1)};
    engine.forward({&step, 1});
    logits = step.logits;
  }
  return made;
}

}  // namespace jet
