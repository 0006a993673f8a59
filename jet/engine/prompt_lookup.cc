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
  LookupRun(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt, const GenerateOptions& options,
            const LookupOptions& lookup, const OnToken& on_token)
      : engine_(engine), sequence_(sequence), lookup_(lookup), before_(sequence.length()),
        decoding_(engine, prompt, options, on_token, result_, before_) {}

  LookupResult run() {
    logits_ = engine_.prefill(sequence_, decoding_.ids());
    std::vector<int32_t> draft;
    while (true) {
      accept(draft);
      if (decoding_.over()) break;
      draft = pass();
    }
    settle();
    return std::move(result_);
  }

 private:
  int64_t held() const { return sequence_.length() - before_; }  // tokens of the text, then of a draft

  /// Runs the text that the sequence lacks and a draft; logits_ has a row for the text's end and each token drafted.
  std::vector<int32_t> pass() {
    const auto text = decoding_.ids();
    const int64_t missing = decoding_.size() - held();
    // Rejection after rejection, what has to be run again grows: then a pass without a draft takes it in.
    const int64_t most = missing > lookup_.draft ? 0 : std::min(int64_t{lookup_.draft}, decoding_.left() - 1);
    std::vector<int32_t> draft = lookup_draft(text, lookup_.ngram, most);
    if (!draft.empty() && (!checkpoint_ || checkpoint_->length() != sequence_.length())) {
      checkpoint_.reset();  // its memory goes before the next one's comes
      checkpoint_ = sequence_.checkpoint();
    }
    ids_.assign(text.begin() + held(), text.end());
    ids_.insert(ids_.end(), draft.begin(), draft.end());
    Step step{&sequence_, ids_, draft.empty() ? Want::last : Want::all};
    engine_.forward({&step, 1});
    logits_ = step.logits;
    ++result_.passes;
    result_.drafted += static_cast<int64_t>(draft.size());
    return draft;
  }

  /// Decodes from the text's end and on along the draft while it agrees; what was drafted wrongly is rolled back.
  void accept(std::span<const int32_t> draft) {
    const size_t vocab = engine_.spec().vocab_size;
    const size_t first = logits_.size() / vocab - draft.size() - 1;
    size_t agreed = 0;
    for (size_t i = 0; i <= draft.size() && !decoding_.over(); ++i) {
      decoding_.advance(logits_.subspan((first + i) * vocab, vocab));
      if (result_.finish == Finish::eos || i == draft.size() || decoding_.ids().back() != draft[i]) break;
      ++agreed;
    }
    result_.accepted += static_cast<int64_t>(agreed);
    if (agreed < draft.size()) sequence_.rollback(*checkpoint_);
  }

  /// The sequence holds all but the last token, and where an eos ended the text, that one too.
  void settle() {
    const bool is_run = result_.ids.empty() || result_.finish == Finish::eos;
    const int64_t wanted = decoding_.size() - (is_run ? 0 : 1);
    if (held() > wanted) sequence_.rollback(*checkpoint_);
    const auto missing = decoding_.ids().first(wanted).subspan(held());
    if (!missing.empty()) engine_.prefill(sequence_, missing, Want::nothing);
  }

  Engine& engine_;
  Sequence& sequence_;
  const LookupOptions& lookup_;
  const int64_t before_;  // tokens that the sequence came with
  LookupResult result_;
  Decoding decoding_;
  std::vector<int32_t> ids_;       // of the present pass
  std::span<const float> logits_;  // after it
  std::optional<SequenceCheckpoint> checkpoint_;
};

}  // namespace

LookupResult generate_with_lookup(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt,
                                  const GenerateOptions& options, const LookupOptions& lookup,
                                  const OnToken& on_token) {
  require(lookup.draft > 0, "lookup: drafts of {} tokens, expected 1 or more", lookup.draft);
  require(lookup.ngram > 0, "lookup: an n-gram of {} tokens, expected 1 or more", lookup.ngram);
  return LookupRun(engine, sequence, prompt, options, lookup, on_token).run();
}

}  // namespace jet
