#include "jet/eval/tasks.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <sstream>

#include "jet/base/error.h"
#include "jet/eval/text_metrics.h"

namespace jet {
namespace {

/// Adds items up to a TaskScore.
struct Tally {
  TaskScore score;
  double nll = 0;
  int64_t tokens = 0, units = 0;  // of the answers; what a perplexity is per

  void add(const Item& item, double credit) {
    score.credits.add(credit);
    score.by_n[item.n].add(credit);
  }
  void add_answer(double answer_nll, size_t answer_tokens) {
    nll += answer_nll;
    tokens += static_cast<int64_t>(answer_tokens);
  }
  TaskScore finish() {
    if (tokens > 0) score.nll = nll / static_cast<double>(tokens);
    if (score.metric == "perplexity")
      score.perplexity = std::exp(nll / static_cast<double>(std::max<int64_t>(1, units)));
    return score;
  }
};

double sum(const std::vector<float>& v) { return std::accumulate(v.begin(), v.end(), 0.0); }

bool all_single(const std::vector<std::vector<int32_t>>& choices) {
  return std::all_of(choices.begin(), choices.end(), [](const auto& c) { return c.size() == 1; });
}

Query make_query(const std::vector<int32_t>& prompt, const std::vector<int32_t>& answer) {
  Query q{prompt, static_cast<int>(prompt.size())};
  q.ids.insert(q.ids.end(), answer.begin(), answer.end());
  return q;
}

/// The queries of one item: its answer; then, where choices are longer than a token, each other choice.
void add_queries(const Item& item, std::vector<Query>& queries) {
  queries.push_back(make_query(item.prompt, item.answer));
  if (all_single(item.choices)) {
    for (const auto& c : item.choices) queries.back().alternatives.push_back(c[0]);
  } else {
    for (const auto& c : item.choices)
      if (c != item.answer) queries.push_back(make_query(item.prompt, c));
  }
}

/// `scores`: those of the item's queries, in the order of add_queries.
bool is_correct(const Item& item, const TaskFormat& format, std::span<const QueryScore> scores) {
  if (item.choices.empty()) return scores[0].argmax == item.answer;
  std::vector<double> likelihood;
  for (const float p : scores[0].alternatives) likelihood.push_back(p);
  if (likelihood.empty()) {
    size_t next = 1;
    for (const auto& c : item.choices)
      likelihood.push_back(sum(c == item.answer ? scores[0].logprob : scores[next++].logprob));
  }
  if (format.normalisation == "bytes") {
    for (size_t c = 0; c < likelihood.size(); ++c) likelihood[c] /= static_cast<double>(item.text.choices[c].size());
  }
  const auto best = std::max_element(likelihood.begin(), likelihood.end()) - likelihood.begin();
  return item.choices[best] == item.answer;
}

/// What a perplexity is per: tokens, or bytes or words of the text.
int64_t units_of(const Item& item, const std::string& normalisation) {
  if (normalisation == "none") return static_cast<int64_t>(item.answer.size());
  const std::string& text = item.text.answers[0];
  if (normalisation == "bytes") return static_cast<int64_t>(text.size());
  std::istringstream in(text);
  return std::distance(std::istream_iterator<std::string>(in), {});
}

bool all_finite(const std::vector<float>& v) {
  return std::all_of(v.begin(), v.end(), [](float x) { return std::isfinite(x); });
}

void check_score(const Query& q, const QueryScore& s) {
  const size_t wanted = q.ids.size() - q.from;
  require(s.argmax.size() == wanted && s.logprob.size() == wanted && s.alternatives.size() == q.alternatives.size(),
          "a scorer gave {} argmax, {} logprob and {} alternatives for a query of {} answer tokens and {} alternatives",
          s.argmax.size(), s.logprob.size(), s.alternatives.size(), wanted, q.alternatives.size());
  require(all_finite(s.logprob) && all_finite(s.alternatives),
          "the log-probabilities hold NaN or infinity: the weights are damaged");
}

std::vector<QueryScore> score_by_length(const std::vector<Query>& queries, const ScoreFn& score, int batch) {
  std::vector<size_t> order(queries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return queries[a].ids.size() < queries[b].ids.size(); });
  std::vector<QueryScore> scores(queries.size());
  for (size_t begin = 0; begin < order.size(); begin += batch) {
    const size_t end = std::min(order.size(), begin + batch);
    std::vector<Query> part;
    for (size_t i = begin; i < end; ++i) part.push_back(queries[order[i]]);
    auto got = score(part);
    require(got.size() == part.size(), "a scorer gave {} scores for {} queries", got.size(), part.size());
    for (size_t i = begin; i < end; ++i) {
      check_score(part[i - begin], got[i - begin]);
      scores[order[i]] = std::move(got[i - begin]);
    }
  }
  return scores;
}

TaskScore score_texts(const Task& task, int batch, const GenerateFn& generate) {
  require(generate != nullptr,
          "task '{}' asks for generated text, which is not to be had here; ask for the answer's "
          "likelihood (request \"text\"), or leave the task out",
          task.name);
  const auto credit = task.format.metric == "f1" ? f1 : exact_match;
  Tally tally{{.name = task.name, .metric = task.format.metric}};
  for (size_t begin = 0; begin < task.items.size(); begin += batch) {
    const auto part = std::span(task.items).subspan(begin, std::min<size_t>(batch, task.items.size() - begin));
    std::vector<Prompt> prompts;
    for (const auto& item : part) prompts.push_back({item.prompt, task.format.until, task.format.most});
    const auto texts = generate(prompts);
    require(texts.size() == part.size(), "a generator gave {} texts for {} prompts", texts.size(), part.size());
    for (size_t i = 0; i < part.size(); ++i)
      tally.add(part[i], credit(texts[i], part[i].text.answers, task.format.normalisation));
  }
  return tally.finish();
}

std::vector<Query> queries_of(const Task& task) {
  std::vector<Query> queries;
  for (const Item& item : task.items) add_queries(item, queries);
  return queries;
}

}  // namespace

void Credits::add(double credit) {
  sum += credit, missed += credit - credit * credit;
  correct += credit == 1, ++total;
}

double Credits::mean() const { return total > 0 ? sum / total : 0; }

double Credits::standard_error() const {
  if (total == 0) return 0;
  return std::sqrt(std::max(0.0, mean() * (1 - mean()) - missed / total) / total);
}

Json TaskScore::to_json() const {
  Json j = {{"name", name}};
  if (metric != "accuracy") j["metric"] = metric;
  if (perplexity) {
    j["perplexity"] = *perplexity, j["total"] = credits.total, j["nll"] = nll;
    return j;
  }
  j["accuracy"] = credits.mean(), j["stderr"] = credits.standard_error();
  j["correct"] = credits.correct, j["total"] = credits.total;
  if (std::isfinite(nll)) j["nll"] = nll;
  j["by_n"] = Json::object();
  for (const auto& [n, c] : by_n)
    j["by_n"][std::to_string(n)] = {{"accuracy", c.mean()}, {"correct", c.correct}, {"total", c.total}};
  return j;
}

int64_t question_count(const Task& task) {
  return task.generates() ? std::ssize(task.items) : std::ssize(queries_of(task));
}

int64_t query_tokens(const Task& task) {
  int64_t tokens = 0;
  for (const Query& q : queries_of(task)) tokens += std::ssize(q.ids);
  return tokens;
}

TaskScore score_task(const Task& task, const ScoreFn& score, int batch, const GenerateFn& generate) {
  require(batch > 0, "task '{}': a batch of {} queries; it must be positive", task.name, batch);
  if (task.generates()) return score_texts(task, batch, generate);
  std::vector<Query> queries;
  std::vector<size_t> first;  // of each item's queries, and the end
  for (const auto& item : task.items) {
    first.push_back(queries.size());
    add_queries(item, queries);
  }
  first.push_back(queries.size());
  const auto scores = score_by_length(queries, score, batch);

  Tally tally{{.name = task.name, .metric = task.format.metric}};
  for (size_t i = 0; i < task.items.size(); ++i) {
    const Item& item = task.items[i];
    const auto mine = std::span(scores).subspan(first[i], first[i + 1] - first[i]);
    tally.add(item, is_correct(item, task.format, mine));
    tally.add_answer(-sum(mine[0].logprob), item.answer.size());
    tally.units += units_of(item, task.format.normalisation);
  }
  return tally.finish();
}

RowScore score_row(std::span<const float> logits) {
  RowScore row;
  row.argmax = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const float top = logits[row.argmax];
  double total = 0;
  for (const float x : logits) total += std::exp(x - top);
  row.log_sum = top + std::log(total);
  return row;
}
}  // namespace jet
