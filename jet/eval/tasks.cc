#include "jet/eval/tasks.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "jet/base/error.h"
#include "jet/base/file.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

struct Line {
  std::string prompt, answer;
  std::vector<std::string> choices;
  int n = 0;
  template <class V>
  static void fields(Line& l, V&& v) {
    v("prompt", l.prompt), v("answer", l.answer), v("choices", l.choices), v("n", l.n);
  }
};

Item read_item(const std::string& text, const std::string& where, const Tokenizer& tokenizer) {
  const Json json = parse_json(text, where);
  require(json.is_object(), "{}: expected an object with prompt and answer, got {}", where, text.substr(0, 40));
  const auto line = from_json_fields<Line>(json, where);
  require(!line.prompt.empty(), "{}: the prompt is empty; the first answer token would follow nothing", where);
  require(!line.answer.empty(), "{}: the answer is empty", where);
  Item item{tokenizer.encode(line.prompt), tokenizer.encode(line.answer), {}, line.n};
  for (const auto& c : line.choices) {
    require(!c.empty(), "{}: a choice is empty", where);
    item.choices.push_back(tokenizer.encode(c));
  }
  require(
      line.choices.empty() || std::find(line.choices.begin(), line.choices.end(), line.answer) != line.choices.end(),
      "{}: the answer '{}' is not among the {} choices", where, line.answer, line.choices.size());
  return item;
}

/// Adds items up to a TaskScore; its nll is a sum until finish().
struct Tally {
  TaskScore score;
  int64_t tokens = 0;

  void add(const Item& item, bool correct, double nll, size_t answer_tokens) {
    auto& [right, all] = score.by_n[item.n];
    right += correct, ++all;
    score.correct += correct, ++score.total;
    score.nll += nll;
    tokens += static_cast<int64_t>(answer_tokens);
  }
  TaskScore finish() {
    if (tokens > 0) score.nll /= static_cast<double>(tokens);
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

/// The queries of one item: its answer; then, where choices are longer than a token, each choice.
void add_queries(const Item& item, std::vector<Query>& queries) {
  queries.push_back(make_query(item.prompt, item.answer));
  if (all_single(item.choices)) {
    for (const auto& c : item.choices) queries.back().alternatives.push_back(c[0]);
  } else {
    for (const auto& c : item.choices) queries.push_back(make_query(item.prompt, c));
  }
}

/// `scores`: those of the item's queries, in the order of add_queries.
bool is_correct(const Item& item, std::span<const QueryScore> scores) {
  if (item.choices.empty()) return scores[0].argmax == item.answer;
  std::vector<double> likelihood;
  for (const float p : scores[0].alternatives) likelihood.push_back(p);
  for (const auto& s : scores.subspan(1)) likelihood.push_back(sum(s.logprob));
  const auto best = std::max_element(likelihood.begin(), likelihood.end()) - likelihood.begin();
  return item.choices[best] == item.answer;
}

void check_score(const Query& q, const QueryScore& s) {
  const size_t wanted = q.ids.size() - q.from;
  require(s.argmax.size() == wanted && s.logprob.size() == wanted && s.alternatives.size() == q.alternatives.size(),
          "a scorer gave {} argmax, {} logprob and {} alternatives for a query of {} answer tokens and {} alternatives",
          s.argmax.size(), s.logprob.size(), s.alternatives.size(), wanted, q.alternatives.size());
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

}  // namespace

Task load_task(const std::string& path, const Tokenizer& tokenizer, int limit, int skip) {
  require(limit >= 0 && skip >= 0, "{}: limit {} and skip {} must be 0 or more", path, limit, skip);
  const std::string text = read_file(path);
  Task task{fs::path(path).stem().string(), {}};
  int number = 0, items = 0;
  for (size_t begin = 0; begin < text.size() && (limit == 0 || items < skip + limit);) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (items++ >= skip) task.items.push_back(read_item(line, fmt::format("{}:{}", path, number), tokenizer));
  }
  require(!task.items.empty(), "{}: no items after the first {}; the file holds {}", path, skip, items);
  return task;
}

std::vector<std::string> task_files(const std::string& path) {
  if (fs::is_regular_file(path)) return {path};
  require(fs::is_directory(path), "{}: no such file or folder of tasks (*.jsonl)", path);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path().string());
  }
  require(!files.empty(), "{}: holds no *.jsonl file", path);
  std::sort(files.begin(), files.end());
  return files;
}

double TaskScore::accuracy() const { return total > 0 ? static_cast<double>(correct) / total : 0; }

double TaskScore::stderr_() const { return total > 0 ? std::sqrt(accuracy() * (1 - accuracy()) / total) : 0; }

Json TaskScore::to_json() const {
  Json groups = Json::object();
  for (const auto& [n, counts] : by_n) {
    groups[std::to_string(n)] = {{"accuracy", static_cast<double>(counts.first) / counts.second},
                                 {"correct", counts.first},
                                 {"total", counts.second}};
  }
  return {{"name", name}, {"accuracy", accuracy()}, {"stderr", stderr_()}, {"correct", correct}, {"total", total},
          {"nll", nll},   {"by_n", groups}};
}

TaskScore score_task(const Task& task, const ScoreFn& score, int batch) {
  require(batch > 0, "task '{}': a batch of {} queries; it must be positive", task.name, batch);
  std::vector<Query> queries;
  std::vector<size_t> first;  // of each item's queries, and the end
  for (const auto& item : task.items) {
    first.push_back(queries.size());
    add_queries(item, queries);
  }
  first.push_back(queries.size());
  const auto scores = score_by_length(queries, score, batch);

  Tally tally;
  tally.score.name = task.name;
  for (size_t i = 0; i < task.items.size(); ++i) {
    const auto mine = std::span(scores).subspan(first[i], first[i + 1] - first[i]);
    tally.add(task.items[i], is_correct(task.items[i], mine), -sum(mine[0].logprob), task.items[i].answer.size());
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
