// Queries through the engine. A pass takes a piece of each query's ids, as many as the budgets allow:
//
//   at once         | prompt but its last token: no logits | last prompt token, answer but its last: all rows |
//   step by step    | prompt: last row | answer[0]: last row | answer[1]: last row | ...
//
// The row at position t prices ids[t + 1], so a query's last token is never fed.
#include <algorithm>
#include <cmath>
#include <memory>

#include "jet/base/error.h"
#include "jet/eval/tasks.h"

namespace jet {
namespace {

constexpr int64_t kTokensPerPass = 2048;              // activations
constexpr int64_t kLogitsPerPass = int64_t{1} << 24;  // 64 MiB of fp32

struct Cursor {
  const Query* query;
  QueryScore* score;
  std::unique_ptr<Sequence> sequence{};
  int64_t at = 0;  // ids fed

  int64_t end() const { return static_cast<int64_t>(query->ids.size()) - 1; }
  bool done() const { return at >= end(); }
};

struct Budget {
  int64_t tokens, rows, chunk;  // left in this pass; a chunk is what one sequence may take
};

/// The cursor's next piece, within what is left of the budget; empty where nothing is.
Step next_step(const Cursor& c, Feed feed, Budget& budget) {
  const bool steps = feed == Feed::step_by_step;
  const int64_t from = c.query->from, prompt_end = steps ? from : from - 1;
  int64_t take = std::min(budget.tokens, budget.chunk);
  Want want = Want::nothing;
  if (c.at < prompt_end) {
    take = std::min(take, prompt_end - c.at);
    if (steps && c.at + take == prompt_end) want = Want::last;
  } else {
    take = std::min({take, steps ? 1 : c.end() - c.at, budget.rows});
    want = steps ? Want::last : Want::all;
  }
  const int64_t rows = want == Want::nothing ? 0 : want == Want::last ? 1 : take;
  if (rows > budget.rows) return {};
  budget.tokens -= take;
  budget.rows -= rows;
  return {c.sequence.get(), std::span(c.query->ids).subspan(c.at, take), want};
}

/// Turns a pass's logits into scores and moves the cursor on.
void take_logits(Cursor& c, const Step& step, int64_t vocab) {
  const auto& ids = c.query->ids;
  const auto taken = static_cast<int64_t>(step.ids.size());
  const int64_t rows = step.want == Want::nothing ? 0 : step.want == Want::last ? 1 : taken;
  c.at += taken;
  require(static_cast<int64_t>(step.logits.size()) == rows * vocab, "the engine gave {} logits for {} rows of {}",
          step.logits.size(), rows, vocab);
  for (int64_t r = 0; r < rows; ++r) {
    const auto logits = step.logits.subspan(r * vocab, vocab);
    const int64_t target = c.at - rows + 1 + r;
    const RowScore row = score_row(logits);
    require(std::isfinite(row.log_sum), "the logits hold NaN or infinity: the weights are damaged");
    c.score->argmax.push_back(row.argmax);
    c.score->logprob.push_back(static_cast<float>(logits[ids[target]] - row.log_sum));
    if (target < c.end()) continue;
    for (const int32_t id : c.query->alternatives) {
      c.score->alternatives.push_back(static_cast<float>(logits[id] - row.log_sum));
    }
  }
}

void check_query(const Query& q, int64_t vocab) {
  const auto size = static_cast<int64_t>(q.ids.size());
  require(q.from >= 1 && q.from < size, "a query of {} tokens is scored from token {}; it must be in 1..{}", size,
          q.from, size - 1);
  for (const auto* ids : {&q.ids, &q.alternatives}) {
    for (const int32_t id : *ids) {
      require(id >= 0 && id < vocab, "token {} of a query is outside the model's vocabulary of {}", id, vocab);
    }
  }
}

/// One pass over all cursors that are not done; false where all are.
bool run_pass(Engine& engine, Feed feed, std::vector<Cursor>& cursors) {
  const int64_t vocab = engine.spec().vocab_size;
  Budget budget{kTokensPerPass, std::max<int64_t>(1, kLogitsPerPass / vocab), engine.options().prefill_chunk};
  std::vector<Step> steps;
  std::vector<Cursor*> owners;
  for (auto& c : cursors) {
    if (c.done() || budget.tokens == 0) continue;
    if (!c.sequence) c.sequence = engine.create();
    Step step = next_step(c, feed, budget);
    if (step.ids.empty()) continue;
    steps.push_back(step);
    owners.push_back(&c);
  }
  if (steps.empty()) return false;
  engine.forward(steps);
  for (size_t i = 0; i < steps.size(); ++i) {
    take_logits(*owners[i], steps[i], vocab);
    if (owners[i]->done()) owners[i]->sequence.reset();
  }
  return true;
}

}  // namespace

ScoreFn engine_scorer(Engine& engine, Feed feed) {
  return [&engine, feed](const std::vector<Query>& queries) {
    std::vector<QueryScore> scores(queries.size());
    std::vector<Cursor> cursors;
    for (size_t i = 0; i < queries.size(); ++i) {
      check_query(queries[i], engine.spec().vocab_size);
      cursors.push_back({&queries[i], &scores[i]});
    }
    while (run_pass(engine, feed, cursors)) continue;
    return scores;
  };
}

TaskScore generate_task(const Task& task, Engine& engine, int batch) {
  return score_task(task, engine_scorer(engine, Feed::step_by_step), batch);
}

double held_out_loss(Engine& engine, const TokenBatch& rows) {
  require(rows.batch > 0 && rows.length > 1, "a held-out batch of {} rows of {} tokens; rows need two or more",
          rows.batch, rows.length);
  require(rows.ids.size() == static_cast<size_t>(rows.batch) * rows.length,
          "a held-out batch of {} rows of {} tokens holds {} ids", rows.batch, rows.length, rows.ids.size());
  const auto score = engine_scorer(engine);
  double total = 0;
  constexpr int kRows = 16;  // sequences alive at once
  for (int row = 0; row < rows.batch; row += kRows) {
    std::vector<Query> queries;
    for (int r = row; r < std::min(rows.batch, row + kRows); ++r) {
      const auto begin = rows.ids.begin() + static_cast<int64_t>(r) * rows.length;
      queries.push_back({{begin, begin + rows.length}, 1});
    }
    for (const auto& s : score(queries)) {
      for (const float p : s.logprob) total -= p;
    }
  }
  require(std::isfinite(total), "the held-out loss is not finite: the weights are damaged");
  return total / (static_cast<double>(rows.batch) * (rows.length - 1));
}

}  // namespace jet
