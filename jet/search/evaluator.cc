#include "jet/search/evaluator.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include <ATen/core/grad_mode.h>

#include "jet/eval/speed.h"
#include "jet/search/halving.h"
#include "jet/train/world.h"

namespace jet {

using at::Tensor;

namespace {

// Rows of one pass are padded to the longest, and a pass costs about as much as this many tokens more.
constexpr int64_t kPassTokens = 256;

int64_t row_length(const Query& q) { return static_cast<int64_t>(q.ids.size()) - 1; }

// Where the passes over queries that are sorted by length begin, so that they cost least; and the end.
std::vector<int64_t> cheapest_passes(std::span<const Query> queries) {
  const auto n = static_cast<int64_t>(queries.size());
  std::vector<int64_t> cost(n + 1, 0),
      last(n + 1, 0);  // of the first i queries: of their passes, where the last begins
  for (int64_t end = 1; end <= n; ++end) {
    cost[end] = INT64_MAX;
    for (int64_t begin = 0; begin < end; ++begin) {
      const int64_t its = cost[begin] + kPassTokens + (end - begin) * row_length(queries[end - 1]);
      if (its < cost[end]) cost[end] = its, last[end] = begin;
    }
  }
  std::vector<int64_t> ends{n};
  while (ends.back() > 0) ends.push_back(last[ends.back()]);
  std::reverse(ends.begin(), ends.end());
  return ends;
}

// Scores a padded batch: hidden states of all rows, the head only where an answer is predicted.
std::vector<QueryScore> score_pass(const TorchOps& ops, std::span<const Query> queries, const HiddenFn& hidden,
                                   const Tensor& head) {
  const at::NoGradGuard no_grad;
  int64_t longest = 0;
  for (const auto& q : queries) longest = std::max(longest, row_length(q));
  const auto n = static_cast<int64_t>(queries.size());
  std::vector<int64_t> ids(n * longest, 0), rows, targets;
  for (int64_t i = 0; i < n; ++i) {
    const auto& q = queries[i].ids;
    std::copy(q.begin(), q.end() - 1, ids.begin() + i * longest);
    for (size_t t = queries[i].from; t < q.size(); ++t) {
      rows.push_back(i * longest + static_cast<int64_t>(t) - 1);
      targets.push_back(q[t]);
    }
  }
  const auto there = [&](const std::vector<int64_t>& v) { return at::tensor(v, at::kLong).to(ops.device); };
  const Tensor h = hidden(there(ids).view({n, longest})).flatten(0, 1);
  const Tensor log_p = at::log_softmax(ops.linear(h.index_select(0, there(rows)), head), -1).to(at::kCPU);
  const Tensor best = log_p.argmax(-1), picked = log_p.gather(1, at::tensor(targets, at::kLong).unsqueeze(1));
  std::vector<QueryScore> out(n);
  int64_t row = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (size_t t = queries[i].from; t < queries[i].ids.size(); ++t, ++row) {
      out[i].argmax.push_back(best[row].item<int32_t>());
      out[i].logprob.push_back(picked[row][0].item<float>());
    }
    for (int32_t id : queries[i].alternatives) out[i].alternatives.push_back(log_p[row - 1][id].item<float>());
  }
  return out;
}

// `queries` come sorted by length (tasks.h).
std::vector<QueryScore> score_queries(const TorchOps& ops, const std::vector<Query>& queries, const HiddenFn& hidden,
                                      const Tensor& head) {
  std::vector<QueryScore> out;
  const auto ends = cheapest_passes(queries);
  for (size_t i = 0; i + 1 < ends.size(); ++i) {
    const auto part = std::span(queries).subspan(ends[i], ends[i + 1] - ends[i]);
    for (auto& s : score_pass(ops, part, hidden, head)) out.push_back(std::move(s));
  }
  return out;
}

SpeedOptions speed_options(const SpeedConfig& c) {
  SpeedOptions o;
  o.prefill = c.prefill, o.decode = c.decode, o.repeats = c.repeats;
  return o;
}

// The mean over the sources.
void add_losses(Evaluation& e, const std::vector<std::string>& sources,
                const std::function<double(const std::string&)>& loss_of) {
  double sum = 0;
  for (const auto& name : sources) {
    const double loss = loss_of(name);
    require(std::isfinite(loss), "the loss on held-out {} is not finite: the weights are damaged", name);
    e.losses.add(name, loss);
    sum += loss;
  }
  e.loss = sum / static_cast<double>(sources.size());
}

}  // namespace

Evaluator::Evaluator(const Recipe& recipe, const TrainingData& data, TorchOps& ops, RunProgress& progress)
    : recipe_(recipe), data_(data), ops_(ops), progress_(progress),
      rounds_(round_ends(recipe.placement.first_items, recipe.eval.search_items)) {
  const EvalConfig& c = recipe.eval;
  for (const auto& file : task_files(c.tasks)) {
    reported_.push_back(load_task(file, data.tokenizer(), c.items));
    const std::string& metric = reported_.back().format.metric;
    require(metric == "accuracy",
            "{}: its metric is {}, and a search compares accuracies by likelihood; move it out of {}", file, metric,
            c.tasks);
    search_.push_back(load_task(file, data.tokenizer(), c.search_items, c.items));
    require(!search_.back().items.empty(), "{}: eval.items + eval.search_items asks for more items than there are",
            file);
  }
}

std::vector<TaskWeight> Evaluator::all_alike(bool (Task::*wanted)() const) const {
  const bool any = std::any_of(reported_.begin(), reported_.end(), [&](const Task& t) { return (t.*wanted)(); });
  std::vector<TaskWeight> objective;
  for (const Task& t : reported_)
    if (!any || (t.*wanted)()) objective.push_back({t.name, 1});
  return objective;
}

const Task& Evaluator::search_task(const std::string& name) const {
  for (const auto& t : search_)
    if (t.name == name) return t;
  std::vector<std::string> known;
  for (const auto& t : search_) known.push_back(t.name);
  fail("no task '{}' in {} (it has: {})", name, recipe_.eval.tasks, fmt::join(known, ", "));
}

int64_t Evaluator::search_tokens(const std::string& task) const { return query_tokens(search_task(task)); }

int64_t Evaluator::search_tokens() const {
  int64_t n = 0;
  for (const Task& t : search_) n += query_tokens(t);
  return n;
}

Task Evaluator::search_round(const std::string& task, int round) const {
  Task part = search_task(task);
  const int64_t all = std::ssize(part.items);
  const auto at = [&](int r) { return part.items.begin() + (r < 0 ? 0 : std::min(all, rounds_[r])); };
  part.items = std::vector<Item>(at(round - 1), at(round));
  return part;
}

int64_t Evaluator::tokens() const {
  const EvalConfig& c = recipe_.eval;
  int64_t n = std::ssize(recipe_.data) * c.held_out_rows * c.held_out_length;
  for (const auto& t : reported_) n += query_tokens(t);
  return n;
}

TaskScore Evaluator::score(const Task& task, const HiddenFn& hidden, const Tensor& head) const {
  return score_task(task, [&](const std::vector<Query>& q) { return score_queries(ops_, q, hidden, head); });
}

Evaluation Evaluator::evaluate(const HiddenFn& hidden, const Tensor& head) const {
  const at::NoGradGuard no_grad;
  const auto doing = progress_.doing(WorkKind::scores, static_cast<double>(tokens()));
  Evaluation out;
  for (const auto& t : reported_) out.tasks.add(t.name, score(t, hidden, head).to_json());
  add_losses(out, data_.corpus().names(), [&](const std::string& name) {
    auto rows = data_.corpus().held_out(name, recipe_.eval.held_out_rows, recipe_.eval.held_out_length);
    std::fill(rows.weights.begin(), rows.weights.end(), 1.0f);
    const TorchBatch b = to_torch(rows, {0, 0, rows.batch}, false, data_.device());
    return next_token_loss(ops_, hidden(b.rows.ids), head, b.next, b.weights).item<double>();
  });
  return out;
}

Evaluation Evaluator::evaluate(const TorchModel& m) const {
  const Json j = world().from_first([&] {
    return Json(
        evaluate([&](const Tensor& ids) { return forward_with(ops_, m, ids, own_mixers(ops_, m)); }, head_of(m)));
  });
  return from_json_fields<Evaluation>(j, "evaluation");
}

Evaluation Evaluator::generate(const std::string& folder, const std::function<void(const Evaluation&)>& so_far) const {
  const auto engine = Engine::load(folder, {.threads = recipe_.threads});
  Evaluation out;
  for (const auto& t : reported_) {
    const auto doing = progress_.doing(WorkKind::engine, static_cast<double>(query_tokens(t)));
    out.tasks.add(t.name, generate_task(t, *engine).to_json());
    progress_.count("items", std::ssize(t.items));
    if (so_far) so_far(out);
  }
  add_losses(out, data_.corpus().names(), [&](const std::string& name) {
    return held_out_loss(*engine,
                         data_.corpus().held_out(name, recipe_.eval.held_out_rows, recipe_.eval.held_out_length));
  });
  return out;
}

int64_t Evaluator::reported_items() const {
  int64_t n = 0;
  for (const auto& t : reported_) n += std::ssize(t.items);
  return n;
}

SpeedTable Evaluator::speeds(const std::string& base, const std::string& folder) const {
  const EngineOptions options{.threads = recipe_.threads};
  std::vector<std::shared_ptr<Engine>> engines = {Engine::load(base, options)};
  if (folder != base) engines.push_back(Engine::load(folder, options));
  std::vector<Engine*> all;
  for (const auto& e : engines) all.push_back(e.get());
  const auto points = measure_by_turns(all, recipe_.speed.contexts, speed_options(recipe_.speed));
  SpeedTable out;
  for (const auto& p : points[0]) out.contexts.push_back(p.context);
  for (size_t e = 0; e < all.size(); ++e) {
    ModelSpeeds& m = e == 0 ? out.base : out.hybrid.emplace();
    for (const auto& p : points[e]) {
      m.decode_tps.push_back(p.decode_tps), m.speedup.push_back(p.speedup);
      m.prefill_tps.push_back(p.prefill_tps), m.cache_bytes.push_back(p.cache_bytes);
    }
  }
  return out;
}

CandidateSpeed Evaluator::candidate_speed(const std::string& base, const std::string& folder) const {
  const EngineOptions options{.threads = recipe_.threads};
  const auto engine = Engine::load(folder, options), first = Engine::load(base, options);
  SpeedOptions o = speed_options(recipe_.speed);
  o.batch = recipe_.dimensions.batch;
  const SpeedPoint p = measure_by_turns({first.get(), engine.get()}, {recipe_.dimensions.context}, o)[1][0];
  return {p.decode_tps, p.speedup, p.prefill_tps, p.cache_bytes};
}

}  // namespace jet
