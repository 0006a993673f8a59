// Questions to a supernet: a path's score on a task, a round of its items at a time (halving.h).
#include "jet/search/supernet.h"

namespace jet {

using at::Tensor;

SharedLayers shared_layers_of(const Run& run) {
  const int64_t bytes = int64_t{run.recipe.placement.shared_mb} << 20;
  return {bytes, run.evaluator.search_tokens(), run.teacher.spec()};
}

// In fp32 a product widens what lies in fewer bits, and keeps nothing.
const Supernet::Asked& Supernet::asked() {
  if (asked_) return *asked_;
  ConvertedTensors converted;
  const at::ScalarType type = run_.ops.compute;
  const auto ready = [&](const TorchModel& m) { return type == at::kFloat ? m : in_type(m, type, converted); };
  const Tensor head = head_of(run_.teacher.model);
  return asked_.emplace(
      Asked{ready(run_.teacher.model), ready(linear_), ready(window_), type == at::kFloat ? head : head.to(type)});
}

TaskScore Supernet::ask(const Path& path, const Task& part) {
  const Asked& m = asked();
  const MixerFn linear = own_mixers(run_.ops, m.linear), window = own_mixers(run_.ops, m.window),
                full = own_mixers(run_.ops, m.base);
  const MixerFn along = [&](int l, const Tensor& h) {
    if (path[l] == Branch::none) return at::zeros_like(h);
    return (path[l] == Branch::linear ? linear : path[l] == Branch::swa ? window : full)(l, h);
  };
  const std::string name = to_string(path);
  const HiddenFn hidden = [&](const Tensor& ids) { return shared_.hidden(run_.ops, m.base, name, ids, along); };
  return run_.evaluator.score(part, hidden, m.head);
}

Json Supernet::score_round(const Path& path, const std::string& task, int round, bool planned) {
  const auto& ends = run_.evaluator.rounds();
  std::string key = name_ + "/" + to_string(path) + "/" + task;
  if (ends.size() > 1) key += fmt::format("/{}-{}", round > 0 ? ends[round - 1] : 0, ends[round]);
  if (!planned && run_.folder.ledger.has(key)) return run_.folder.ledger.find(key);
  const Task part = run_.evaluator.search_round(task, round);
  const double passes = static_cast<double>(query_tokens(part)) * shared_.expected_share(layers());
  return remembered(key, passes, [&](RunProgress::Doing& doing) {
    shared_.take_share();
    const TaskScore score = ask(path, part);
    doing.came_to(shared_.take_share() / shared_.expected_share(layers()));
    return score.to_json();
  });
}

Json Supernet::score(const Path& path, const std::string& task) {
  return score_rounds(path, task, static_cast<int>(std::ssize(run_.evaluator.rounds())) - 1, true);
}

Json Supernet::score(const Path& path, const std::string& task, int round) {
  return score_rounds(path, task, round, false);
}

Json Supernet::term(const Path& path, const std::string& task, std::optional<int> round) {
  if (task != kKlTask) return round ? score(path, task, *round) : score(path, task);
  const Ledger& ledger = run_.folder.ledger;
  const std::string key = kl_key(path);
  const bool known = round.value_or(0) > 0 && ledger.has(key);  // and was taken off the plan
  return {{"nll", known ? ledger.find(key).get<double>() : kl(path)}};
}

// Rounds weigh what they have of items, and of answers' tokens.
Json Supernet::score_rounds(const Path& path, const std::string& task, int last, bool all_planned) {
  if (run_.evaluator.rounds().size() == 1) return score_round(path, task, 0, true);
  double correct = 0, items = 0, nll = 0, tokens = 0;
  for (int r = 0; r <= last; ++r) {
    const Task part = run_.evaluator.search_round(task, r);
    if (part.items.empty()) continue;
    const Json j = score_round(path, task, r, all_planned || r == last);
    const auto n = static_cast<double>(part.items.size());
    double answers = 0;
    for (const Item& item : part.items) answers += static_cast<double>(item.answer.size());
    correct += n * j.at("accuracy").get<double>(), items += n;
    nll += answers * j.at("nll").get<double>(), tokens += answers;
  }
  return {{"accuracy", correct / items}, {"nll", nll / tokens}, {"total", items}};
}

}  // namespace jet
