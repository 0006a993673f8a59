#include "python/src/model.h"

#include <algorithm>
#include <cmath>

#include "jet/engine/prefix_cache.h"
#include "jet/eval/tasks.h"

namespace jet::python {
namespace {

constexpr int64_t kLogitsPerPass = int64_t{1} << 24;  // 64 MiB of fp32
constexpr int64_t kScoreCache = int64_t{512} << 20;   // bytes that contexts of score() share

int64_t rows_per_pass(const Engine& engine) {
  return std::clamp<int64_t>(kLogitsPerPass / engine.spec().vocab_size, 1, engine.options().prefill_chunk);
}

void add_row(std::span<const float> logits, int32_t id, Score& score) {
  const RowScore row = score_row(logits);
  require(std::isfinite(row.log_sum), "the logits hold NaN or infinity: the weights are damaged");
  score.logprob += logits[id] - row.log_sum;
  score.is_greedy &= row.argmax == id;
}

/// A continuation on its way: the row of logits before each of its tokens prices that token.
struct Cursor {
  Ids ids;
  Score* score;
  std::unique_ptr<Sequence> sequence{};
  size_t at = 1;  // the first row is the context's last
  bool done() const { return at == ids.size(); }
};

/// Passes over all cursors, each a piece of some of them.
void run(Engine& engine, std::vector<Cursor>& cursors, const Sequence& context, const Pause& pause) {
  const int64_t vocab = engine.spec().vocab_size;
  while (true) {
    auto rows = static_cast<size_t>(rows_per_pass(engine));
    std::vector<Step> steps;
    std::vector<Cursor*> owners;
    for (Cursor& c : cursors) {
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
      Cursor& c = *owners[i];
      for (size_t r = 0; r < steps[i].ids.size(); ++r)
        add_row(steps[i].logits.subspan(r * vocab, vocab), c.ids[c.at++], *c.score);
      if (c.done()) c.sequence.reset();
    }
    pause();
  }
}

/// Throws Error on what could not be scored.
void check(const Pair& pair, const ModelSpec& spec) {
  const auto& [context, text] = pair;
  require(!context.empty() && !text.empty(), "a text to score and what comes before it have at least one token each");
  const size_t fed = context.size() + text.size() - 1;
  require(fed <= static_cast<size_t>(spec.max_position_embeddings), "{} tokens do not fit the model's context of {}",
          fed, spec.max_position_embeddings);
  for (const int32_t id : text)
    require(id >= 0 && id < spec.vocab_size, "token id {} is outside the vocabulary of {}", id, spec.vocab_size);
}

}  // namespace

Turn::Turn(Model& model) : model_(model), lock_(model.mutex_, std::defer_lock) {
  require(model.runner_.load() != std::this_thread::get_id(),
          "the model is generating: what a streamer calls cannot run the same model");
  lock_.lock();
  model.runner_ = std::this_thread::get_id();
}

std::map<std::string, StateTensor> tensors_of(const State& state) {
  std::map<std::string, StateTensor> tensors;
  ModelState<int> unused;
  model_state(state.model->engine->spec(), unused, [&](int layer, const char* name, int&, const StateSpec& spec) {
    StateTensor t{state.sequence->read(layer, name), {spec.shape.begin(), spec.shape.end()}};
    if (spec.kind == StateSpec::rows) {
      size_t row = 1;
      for (const size_t n : t.shape) row *= n;
      t.shape.insert(t.shape.begin(), t.values.size() / row);
    }
    tensors.emplace(fmt::format("layers.{}.{}", layer, name), std::move(t));
  });
  return tensors;
}

void read(Engine& engine, Sequence& sequence, Ids ids, std::span<float> logits, const Pause& pause) {
  const auto vocab = static_cast<size_t>(engine.spec().vocab_size);
  const size_t keep = logits.size() / vocab, first = ids.size() - keep;  // the first row that is kept
  require(!ids.empty(), "there are no tokens to run");
  for (size_t at = 0; at < ids.size();) {
    const bool many = keep > 1 && at >= first;
    size_t n = many ? rows_per_pass(engine) : engine.options().prefill_chunk;
    n = std::min(n, (at < first && keep > 1 ? first : ids.size()) - at);
    const bool is_last = at + n == ids.size();
    Step step{&sequence, ids.subspan(at, n), many ? Want::all : keep == 1 && is_last ? Want::last : Want::nothing};
    engine.forward({&step, 1});
    std::copy(step.logits.begin(), step.logits.end(), logits.begin() + (many ? (at - first) * vocab : 0));
    at += n;
    pause();
  }
}

void whole_or_not(State& state, const std::function<void()>& work) {
  const SequenceCheckpoint before = state.sequence->checkpoint();
  try {
    work();
  } catch (...) {
    state.sequence->rollback(before);
    throw;
  }
}

std::vector<Score> score(Model& model, const std::vector<Pair>& pairs, const Pause& pause) {
  const Turn turn(model);
  Engine& engine = *model.engine;
  // In order, contexts that begin alike follow each other.
  std::map<std::vector<int32_t>, std::vector<size_t>> by_context;
  for (size_t i = 0; i < pairs.size(); ++i) {
    check(pairs[i], engine.spec());
    by_context[pairs[i].first].push_back(i);
  }
  PrefixCache cache(engine, kScoreCache);
  std::vector<Score> scores(pairs.size());
  for (const auto& [context, members] : by_context) {
    const auto prompt = cache.prefill(context);
    std::vector<Cursor> cursors;
    for (const size_t i : members) {
      add_row(prompt.logits, pairs[i].second.front(), scores[i]);
      cursors.push_back({pairs[i].second, &scores[i]});
    }
    pause();
    run(engine, cursors, *prompt.sequence, pause);
  }
  return scores;
}

}  // namespace jet::python
