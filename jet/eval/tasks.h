// How tasks (jet/eval/task.h) are scored: by what a model makes of the answer's tokens, or by the text that it writes.
//
//   tokens   | prompt ............ | answer |
//   logits             ^ row that predicts answer[0]
//
// Free answers are right where every answer token is the argmax under teacher forcing, which is what greedy generation
// gives; choices are right where the answer has the highest sum of log p. Both need log-probabilities alone, so the
// engine and the trainer share one scorer and differ in a ScoreFn. Only the engine generates.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jet/data/corpus.h"
#include "jet/engine/engine.h"
#include "jet/engine/sampler.h"
#include "jet/eval/task.h"

namespace jet {

/// What items came to. An item's credit is in [0, 1]; it is correct where that is 1.
struct Credits {
  double sum = 0, missed = 0;  // of the credits c; of c - c^2, which is 0 where all are 0 or 1
  int correct = 0, total = 0;

  void add(double credit);
  double mean() const;
  double standard_error() const;  // of the mean; binomial where credits are 0 or 1
};

struct TaskScore {
  std::string name, metric = "accuracy";
  Credits credits{};
  std::map<int, Credits> by_n{};
  double nll = std::numeric_limits<double>::quiet_NaN();  // of the right answers, mean per token; NaN: not asked for
  std::optional<double> perplexity{};                     // where that is the metric; no item has credit then

  /// {"name", "accuracy": mean credit, "stderr", "correct", "total", "nll", "by_n"}; "metric" where it is no accuracy,
  /// and without what there is not: {"name", "metric", "perplexity", "total", "nll"}.
  Json to_json() const;
};

/// One row for a model: score ids[from..]. `alternatives` are other last tokens to price at the last position.
struct Query {
  std::vector<int32_t> ids;
  int from = 0;
  std::vector<int32_t> alternatives{};
};

struct QueryScore {
  std::vector<int32_t> argmax;        // [ids.size() - from]
  std::vector<float> logprob;         // [ids.size() - from], nats
  std::vector<float> alternatives{};  // as in the query
};

using ScoreFn = std::function<std::vector<QueryScore>(const std::vector<Query>&)>;

/// A prompt to go on from until the model ends, one of `until` stands in the text, or `most` tokens.
struct Prompt {
  std::vector<int32_t> ids;
  std::vector<std::string> until;
  int most = 64;
  SamplerOptions sampling{};  // greedy
};
/// A text each, without the stop that ended it.
using GenerateFn = std::function<std::vector<std::string>(const std::vector<Prompt>&)>;

/// What score_task asks: queries, or texts of a task that generates.
int64_t question_count(const Task& task);
/// Tokens of the rows that score_task asks about.
int64_t query_tokens(const Task& task);

/// Queries go to `score` sorted by length, at most `batch` at a time, so that padded batches waste little; tasks that
/// ask for text go to `generate`. Throws Error where log-probabilities are not finite.
TaskScore score_task(const Task& task, const ScoreFn& score, int batch = 32, const GenerateFn& generate = {});

/// What a row of logits says of `id`, and of which token it thinks most likely (the first of equals).
struct RowScore {
  int32_t argmax = 0;
  double log_sum = 0;  // log sum exp of the row: log p(id) = row[id] - log_sum
};
RowScore score_row(std::span<const float> logits);

/// How the engine takes a query's scored part: in one pass after its prompt, or one token a pass as generation does.
enum class Feed { at_once, step_by_step };

/// Scores through Engine::forward, a batch as ragged passes of bounded memory. Borrows the engine.
ScoreFn engine_scorer(Engine& engine, Feed feed = Feed::at_once);

/// Texts by the engine, all prompts of a call at once; what they have in common is kept in `cache_bytes`. Borrows both.
GenerateFn engine_generator(Engine& engine, const Tokenizer& tokenizer, int64_t cache_bytes = 0);

/// Greedy generation: the prompt is prefilled, then every answer token comes from a decode step of its own. An answer
/// is right where each step's argmax is its next token; steps after a wrong one only serve `nll`. Choices by
/// likelihood.
TaskScore generate_task(const Task& task, Engine& engine, int batch = 32);

/// Mean -log p of ids[t + 1] given ids[0..t], over all rows and t, in nats; the batch's weights do not count.
double held_out_loss(Engine& engine, const TokenBatch& rows);

}  // namespace jet
