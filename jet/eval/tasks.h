// Tasks: prompts with one right answer, scored by what a model makes of the answer's tokens.
//
//   file     {"prompt": "...", "answer": " 64", "choices": [" 12", " 64"]?, "n": 8?}      one item a line
//   tokens   | prompt ............ | answer |        each tokenised alone, without BOS
//   logits             ^ row that predicts answer[0]
//
// Free answers are right where every answer token is the argmax under teacher forcing, which is what greedy generation
// gives; choices are right where the answer has the highest sum of log p. Both need log-probabilities alone, so the
// engine and the trainer share one scorer and differ in a ScoreFn.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "jet/base/json.h"
#include "jet/data/corpus.h"
#include "jet/engine/engine.h"
#include "jet/text/tokenizer.h"

namespace jet {

struct Item {
  std::vector<int32_t> prompt, answer;
  std::vector<std::vector<int32_t>> choices;  // empty: a free answer; otherwise the answer is one of them
  int n = 0;                                  // what the item is grouped by: facts in the context, digits, ...
};

struct Task {
  std::string name;
  std::vector<Item> items;
};

/// The items of a JSONL file after its first `skip`, at most `limit` (0: all). The task is named after the file.
Task load_task(const std::string& jsonl_path, const Tokenizer& tokenizer, int limit = 0, int skip = 0);
/// The *.jsonl files of a folder, by name; or `path` itself where it is a file.
std::vector<std::string> task_files(const std::string& path);

struct TaskScore {
  std::string name;
  int correct = 0, total = 0;
  double nll = 0;                           // of the right answers, mean per token
  std::map<int, std::pair<int, int>> by_n;  // n: correct, total

  double accuracy() const;
  double stderr_() const;  // of the accuracy, binomial
  Json to_json() const;
};

/// One row for a model: score ids[from..]. `alternatives` are other last tokens to price at the last position.
struct Query {
  std::vector<int32_t> ids;
  int from = 0;
  std::vector<int32_t> alternatives{};
};

struct QueryScore {
  std::vector<int32_t> argmax;      // [ids.size() - from]
  std::vector<float> logprob;       // [ids.size() - from], nats
  std::vector<float> alternatives;  // as in the query
};

using ScoreFn = std::function<std::vector<QueryScore>(const std::vector<Query>&)>;

/// Queries go to `score` sorted by length, at most `batch` at a time, so that padded batches waste little.
TaskScore score_task(const Task& task, const ScoreFn& score, int batch = 32);

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

/// Greedy generation: the prompt is prefilled, then every answer token comes from a decode step of its own. An answer
/// is right where each step's argmax is its next token; steps after a wrong one only serve `nll`. Choices by
/// likelihood.
TaskScore generate_task(const Task& task, Engine& engine, int batch = 32);

/// Mean -log p of ids[t + 1] given ids[0..t], over all rows and t, in nats; the batch's weights do not count.
double held_out_loss(Engine& engine, const TokenBatch& rows);

}  // namespace jet
