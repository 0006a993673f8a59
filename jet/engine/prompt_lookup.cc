#include "jet/engine/prompt_lookup.h"

#include <algorithm>
#include <optional>

namespace jet {

std::vector<int32_t> lookup_draft(std::span<const int32_t> text, int ngram, int64_t most) {
  const auto n = static_cast<int64_t>(text.size());
  std::vector<int32_t> draft;
  if (most <= 0 || n <= ngram) return draft;
  const auto tail = text.last(ngram);
  int64_t at = n - ngram - 1;
  while (at >= 0 && !std::equal(tail.begin(), tail.end(), text.begin() + at)) --at;
  if (at < 0) return draft;
  for (int64_t i = at + ngram; static_cast<int64_t>(draft.size()) < most; ++i) {
    draft.push_back(i < n ? text[i] : draft[i - n]);
  }
  return draft;
}

namespace {

class LookupRun {
 public:
  LookupRun(Engine& engine, Sequence& sequence, const GenerateOptions& options, const LookupOptions& lookup,
            const std::function<bool(int32_t)>& on_token)
      : engine_(engine), sequence_(sequence), options_(options), lookup_(lookup), on_token_(on_token),
        sampler_(options.sampler) {}

  LookupResult run(std::span<const int32_t> prompt) {
    before_ = sequence_.length();
    logits_ = engine_.prefill(sequence_, prompt);
    text_.assign(prompt.begin(), prompt.end());
    over_ = options_.max_new_tokens == 0;
    std::vector<int32_t> draft;
    while (true) {
      accept(draft);
      if (over_) break;
      draft = pass();
    }
    settle();
    return std::move(result_);
  }

 private:
  int64_t size() const { return static_cast<int64_t>(text_.size()); }
  int64_t held() const { return sequence_.length() - before_; }  // tokens of the text, then of a draft

  /// Runs the text that the sequence lacks and a draft; logits_ has a row for the text's end and each token drafted.
  std::vector<int32_t> pass() {
    const int64_t left = options_.max_new_tokens - static_cast<int64_t>(result_.ids.size());
    const int64_t context = engine_.spec().max_position_embeddings - before_ - size(), missing = size() - held();
    // Rejection after rejection, what has to be run again grows: then a pass without a draft takes it in.
    const int64_t most = missing > lookup_.draft ? 0 : std::min({int64_t{lookup_.draft}, left - 1, context});
    std::vector<int32_t> draft = lookup_draft(text_, lookup_.ngram, most);
    if (!draft.empty() && (!checkpoint_ || checkpoint_->length() != sequence_.length())) {
      checkpoint_.reset();  // its memory goes before the next one's comes
      checkpoint_ = sequence_.checkpoint();
    }
    ids_.assign(text_.begin() + held(), text_.end());
    ids_.insert(ids_.end(), draft.begin(), draft.end());
    Step step{&sequence_, ids_, draft.empty() ? Want::last : Want::all};
    engine_.forward({&step, 1});
    logits_ = step.logits;
    ++result_.passes;
    result_.drafted += static_cast<int64_t>(draft.size());
    return draft;
  }

  /// Samples after the text's end and on along the draft while it agrees; what was drafted wrongly is rolled back.
  void accept(std::span<const int32_t> draft) {
    const size_t vocab = engine_.spec().vocab_size;
    const size_t first = logits_.size() / vocab - draft.size() - 1;
    size_t agreed = 0;
    for (size_t i = 0; i <= draft.size() && !over_; ++i) {
      if (!emit(sampler_.sample(logits_.subspan((first + i) * vocab, vocab)))) break;
      if (i == draft.size() || text_.back() != draft[i]) break;
      ++agreed;
    }
    result_.accepted += static_cast<int64_t>(agreed);
    if (agreed < draft.size()) sequence_.rollback(*checkpoint_);
  }

  /// False for an eos, which is not kept.
  bool emit(int32_t id) {
    ends_at_eos_ = ends_text(engine_.spec(), options_, id);
    over_ = over_ || ends_at_eos_;
    if (ends_at_eos_) return false;
    const bool is_full = before_ + size() >= engine_.spec().max_position_embeddings;
    text_.push_back(id);
    result_.ids.push_back(id);
    over_ =
        (on_token_ && !on_token_(id)) || is_full || static_cast<int64_t>(result_.ids.size()) >= options_.max_new_tokens;
    return true;
  }

  /// The sequence holds all but the last token, and where an eos ended the text, that one too.
  void settle() {
    const int64_t wanted = size() - (result_.ids.empty() || ends_at_eos_ ? 0 : 1);
    if (held() > wanted) sequence_.rollback(*checkpoint_);
    if (held() < wanted) engine_.prefill(sequence_, std::span(text_).subspan(held(), wanted - held()), Want::nothing);
  }

  Engine& engine_;
  Sequence& sequence_;
  const GenerateOptions& options_;
  const LookupOptions& lookup_;
  const std::function<bool(int32_t)>& on_token_;
  Sampler sampler_;
  int64_t before_ = 0;         // tokens that the sequence came with
  std::vector<int32_t> text_;  // prompt and what was made
  std::vector<int32_t> ids_;   // of the present pass
  std::span<const float> logits_;
  std::optional<SequenceCheckpoint> checkpoint_;
  bool over_ = false, ends_at_eos_ = false;
  LookupResult result_;
};

}  // namespace

LookupResult generate_with_lookup(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt,
                                  const GenerateOptions& options, const LookupOptions& lookup,
                                  const std::function<bool(int32_t)>& on_token) {
  require(options.max_new_tokens >= 0, "max_new_tokens is {}, expected 0 or more", options.max_new_tokens);
  require(lookup.draft > 0, "lookup: drafts of {} tokens, expected 1 or more", lookup.draft);
  require(lookup.ngram > 0, "lookup: an n-gram of {} tokens, expected 1 or more", lookup.ngram);
  return LookupRun(engine, sequence, options, lookup, on_token).run(prompt);
}

}  // namespace jet
