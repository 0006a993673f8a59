#include "jet/eval/pair_scorer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "jet/base/error.h"
#include "jet/engine/prefix_cache.h"
#include "jet/eval/tasks.h"

namespace jet {
namespace {

constexpr int64_t kLogits = int64_t{1} << 24;       // 64 MiB of fp32
constexpr int64_t kPairCache = int64_t{512} << 20;  // bytes that what comes before shares

void add_row(std::span<const float> logits, int32_t id, PairScore& score) {
  const RowScore row = score_row(logits);
  require(std::isfinite(row.log_sum), "the logits hold NaN or infinity: the weights are damaged");
  score.logprob += logits[id] - row.log_sum;
  score.is_greedy &= row.argmax == id;
}

/// A continuation on its way: the row of logits before each of its tokens prices that token.
struct PairCursor {
  std::span<const int32_t> ids;
  PairScore* score;
  std::unique_ptr<Sequence> sequence{};
  size_t at = 1;  // the first row is the context's last
  bool done() const { return at == ids.size(); }
};

/// Passes over all cursors, each a piece of some of them.
void run_cursors(Engine& engine, std::vector<PairCursor>& cursors, const Sequence& context,
                 const std::function<void()>& pause) {
  const int64_t vocab = engine.spec().vocab_size;
  while (true) {
    auto rows = static_cast<size_t>(logit_rows(engine));
    std::vector<Step> steps;
    std::vector<PairCursor*> owners;
    for (PairCursor& c : cursors) {
      if (c.done() || rows == 0) continue;
      if (!c.sequence) c.sequence = context.fork();
      const size_t take = std::min(rows, c.ids.size() - c.at);
      rows -= take;
      steps.push_back({c.sequence.get(), c.ids.subspan(c.at - 1, take), Want::all});
      owners.push_back(&c);
    }
    if (steps.empty()) return;
    engine.forward(steps);
    for (size_t i = 0; i < steps.size(); ++i) {
      PairCursor& c = *owners[i];
      for (size_t r = 0; r < steps[i].ids.size(); ++r)
        add_row(steps[i].logits.subspan(r * vocab, vocab), c.ids[c.at++], *c.score);
      if (c.done()) c.sequence.reset();
    }
    if (pause) pause();
  }
}

/// Throws Error on what could not be scored.
void check_pair(const Pair& pair, const ModelSpec& spec) {
  const auto& [context, text] = pair;
  require(!context.empty() && !text.empty(), "a text to score and what comes before it have at least one token each");
  const size_t fed = context.size() + text.size() - 1;
  require(fed <= static_cast<size_t>(spec.max_position_embeddings), "{} tokens do not fit the model's context of {}",
          fed, spec.max_position_embeddings);
  for (const int32_t id : text)
    require(id >= 0 && id < spec.vocab_size, "token id {} is outside the vocabulary of {}", id, spec.vocab_size);
}

}  // namespace

int64_t logit_rows(const Engine& engine) {
  return std::clamp<int64_t>(kLogits / engine.spec().vocab_size, 1, engine.options().prefill_chunk);
}

std::vector<PairScore> score_pairs(Engine& engine, const std::vector<Pair>& pairs, const std::function<void()>& pause) {
  // In order, contexts that begin alike follow each other.
  std::map<std::vector<int32_t>, std::vector<size_t>> by_context;
  for (size_t i = 0; i < pairs.size(); ++i) {
    check_pair(pairs[i], engine.spec());
    by_context[pairs[i].first].push_back(i);
  }
  PrefixCache cache(engine, kPairCache);
  std::vector<PairScore> scores(pairs.size());
  for (const auto& [context, members] : by_context) {
    const auto prompt = cache.prefill(context);
    std::vector<PairCursor> cursors;
    for (const size_t i : members) {
      add_row(prompt.logits, pairs[i].second.front(), scores[i]);
      cursors.push_back({pairs[i].second, &scores[i]});
    }
    if (pause) pause();
    run_cursors(engine, cursors, *prompt.sequence, pause);
  }
  return scores;
}

}  // namespace jet
