#include "python/src/generate.h"

#include <algorithm>
#include <exception>
#include <memory>

#include "jet/engine/beam.h"
#include "jet/engine/prompt_lookup.h"
#include "jet/engine/scheduler.h"

namespace jet::python {
namespace {

constexpr int64_t kCacheBytes = int64_t{1} << 30;  // of all texts that run at once, where one alone needs no more

bool among(const std::vector<int32_t>& ids, int32_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

/// What transformers forbids: an end before there are min_new_tokens, and the last of n tokens that stood together.
class Forbidding : public TokenGrammar, public std::enable_shared_from_this<Forbidding> {
 public:
  Forbidding(const Settings& s, std::span<const int32_t> prompt, int64_t vocab)
      : settings_(s), prompt_(prompt.begin(), prompt.end()), vocab_(vocab) {}
  std::unique_ptr<TokenMatcher> start() const override { return std::make_unique<Matcher>(shared_from_this()); }
  bool rules_ends() const override { return false; }

 private:
  class Matcher : public TokenMatcher {
   public:
    explicit Matcher(std::shared_ptr<const Forbidding> of) : of_(std::move(of)), allowed_(of_->vocab_) {}
    const TokenSet& allowed(std::span<const int32_t> made) override;
    bool is_whole(std::span<const int32_t>) override { return false; }

   private:
    std::shared_ptr<const Forbidding> of_;
    TokenSet allowed_;
  };

  Settings settings_;
  std::vector<int32_t> prompt_;
  int64_t vocab_;
};

const TokenSet& Forbidding::Matcher::allowed(std::span<const int32_t> made) {
  const Settings& s = of_->settings_;
  std::fill(allowed_.words().begin(), allowed_.words().end(), ~uint32_t{0});
  if (static_cast<int>(made.size()) < s.min_new_tokens) {
    for (const int32_t id : s.ends) allowed_.remove(id);
  }
  const auto n = static_cast<size_t>(s.no_repeat_ngram_size);
  if (n == 0 || of_->prompt_.size() + made.size() < n) return allowed_;
  std::vector<int32_t> ids = of_->prompt_;
  ids.insert(ids.end(), made.begin(), made.end());
  const auto last = std::span(ids).last(n - 1);
  for (size_t i = 0; i + n <= ids.size(); ++i) {
    if (std::equal(last.begin(), last.end(), ids.begin() + i)) allowed_.remove(ids[i + n - 1]);
  }
  return allowed_;
}

SamplerOptions sampler_of(const Job& job, size_t row, int64_t vocab) {
  const Settings& s = job.settings;
  require(s.min_new_tokens >= 0 && s.no_repeat_ngram_size >= 0,
          "min_new_tokens is {} and no_repeat_ngram_size {}, expected 0 or more", s.min_new_tokens,
          s.no_repeat_ngram_size);
  for (const int32_t id : s.ends)
    require(id >= 0 && id < vocab, "eos_token_id {} is outside the vocabulary of {}", id, vocab);
  SamplerOptions sampler = s;
  sampler.seed += row;
  if (s.min_new_tokens > 0 || s.no_repeat_ngram_size > 0)
    sampler.grammar = std::make_shared<Forbidding>(s, job.prompts[row], vocab);
  return sampler;
}

GenerateOptions options_of(const Engine& engine, const Job& job, size_t row) {
  return {.max_new_tokens = job.settings.max_new_tokens,
          .ignore_eos = true,
          .sampler = sampler_of(job, row, engine.spec().vocab_size),
          .tokenizer = job.settings.stop_strings.empty() ? nullptr : job.tokenizer,
          .stop_strings = job.settings.stop_strings};
}

/// Hands tokens on and ends texts at an eos. What the job's listener throws is kept: the engine's machines would take
/// it for a fault of theirs.
class Listener {
 public:
  explicit Listener(const Job& job) : job_(job) {}
  OnToken of(size_t row) {
    return [this, row](const NewToken& token) { return take(row, token.id); };
  }
  void pause() {
    guarded([&] { job_.pause(); });
    if (thrown_) std::rethrow_exception(thrown_);
  }
  Text text(Generated&& made) const {
    const bool ended = !made.ids.empty() && among(job_.settings.ends, made.ids.back());
    return {std::move(made.ids), ended ? "eos" : name_of(made.finish)};
  }

 private:
  bool take(size_t row, int32_t id) {
    guarded([&] {
      if (job_.on_token) job_.on_token(row, id);
    });
    return !thrown_ && !among(job_.settings.ends, id);
  }
  template <class F>
  void guarded(F&& f) {
    if (thrown_) return;
    try {
      f();
    } catch (...) { thrown_ = std::current_exception(); }
  }

  const Job& job_;
  std::exception_ptr thrown_;
};

std::vector<Text> search(Engine& engine, Sequence& sequence, const Job& job, size_t row) {
  const Settings& s = job.settings;
  const BeamOptions options{.num_beams = s.num_beams,
                            .length_penalty = s.length_penalty,
                            .early_stopping = early_stopping_from(s.early_stopping),
                            .max_new_tokens = s.max_new_tokens,
                            .sampler = sampler_of(job, row, engine.spec().vocab_size),
                            .ends = s.ends,
                            .before_pass = job.pause};
  std::vector<Text> texts;
  for (Beam& beam : beam_search(engine, sequence, job.prompts[row], options)) {
    if (static_cast<int>(texts.size()) == s.num_return_sequences) break;
    if (beam.end >= 0) beam.ids.push_back(beam.end);
    texts.push_back({std::move(beam.ids), name_of(beam.finish), beam.score});
  }
  return texts;
}

std::vector<Text> generate_together(Engine& engine, const Job& job) {
  Listener listener(job);
  int64_t budget = kCacheBytes;
  for (const auto& prompt : job.prompts) {
    const auto n = static_cast<int64_t>(prompt.size());
    budget = std::max(budget, engine.sequence_bytes(n + most_new_tokens(engine, n, job.settings.max_new_tokens)));
  }
  Scheduler scheduler(engine, {.cache_bytes = budget});
  std::vector<std::shared_ptr<const Generation>> generations;
  for (size_t row = 0; row < job.prompts.size(); ++row) {
    generations.push_back(scheduler.submit(
        {.prompt = job.prompts[row], .options = options_of(engine, job, row), .on_token = listener.of(row)}));
  }
  while (scheduler.step()) listener.pause();
  listener.pause();
  std::vector<Text> texts;
  for (const auto& g : generations) {
    require(g->status == Generation::finished, "{}", g->error);
    texts.push_back(listener.text(Generated(*g)));
  }
  return texts;
}

Generated decode(Engine& engine, Sequence& sequence, const Job& job, Listener& listener) {
  const Ids prompt = job.prompts.front();
  const GenerateOptions options = options_of(engine, job, 0);
  if (job.settings.lookup > 0) {
    return generate_with_lookup(engine, sequence, prompt, options, {.draft = job.settings.lookup}, listener.of(0));
  }
  Generated made;
  Decoding decoding(engine, prompt, options, listener.of(0), made, sequence.length());
  std::vector<float> row(engine.spec().vocab_size);
  read(engine, sequence, prompt, row, [&] { listener.pause(); });
  std::span<const float> logits = row;
  while (!decoding.over()) {
    decoding.advance(logits);
    listener.pause();
    if (decoding.over()) break;
    Step step{&sequence, decoding.ids().last(1)};
    engine.forward({&step, 1});
    logits = step.logits;
  }
  return made;
}

}  // namespace

std::vector<Text> generate_all(Model& model, const Job& job) {
  const Turn turn(model);
  Engine& engine = *model.engine;
  if (job.settings.num_beams == 1) return generate_together(engine, job);
  std::vector<Text> texts;
  for (size_t row = 0; row < job.prompts.size(); ++row) {
    const auto sequence = engine.create();
    for (Text& t : search(engine, *sequence, job, row)) texts.push_back(std::move(t));
  }
  return texts;
}

Text generate_on(State& state, const Job& job) {
  const Turn turn(*state.model);
  Engine& engine = *state.model->engine;
  Text text;
  whole_or_not(state, [&] {
    Listener listener(job);
    const int64_t before = state.sequence->length() + static_cast<int64_t>(job.prompts.front().size());
    text = listener.text(decode(engine, *state.sequence, job, listener));
    listener.pause();
    // The last token was made, not run.
    const int64_t length = before + static_cast<int64_t>(text.ids.size());
    if (state.sequence->length() < length && length <= engine.spec().max_position_embeddings)
      read(engine, *state.sequence, Ids(text.ids).last(1), {}, job.pause);
  });
  return text;
}

}  // namespace jet::python
