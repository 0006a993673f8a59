#include <algorithm>
#include <cmath>

#include "jet/model/model_cost.h"
#include "jet/search/selectors/selector.h"

namespace jet {

namespace {

// FLOPs a token of rows of `length`, of which `logits` positions go through the head.
double flops_per_token(const ModelSpec& spec, int64_t length, int64_t logits) {
  const CountPass row{.tokens = length, .logits = logits, .chunk = kTrainChunk};
  return count_model(spec, row, plain_types(DType::f32, 4)).total().flops / static_cast<double>(length);
}

}  // namespace

SelectionInput::SelectionInput(Run& r, Supernet& n, std::vector<int> layers, int count)
    : run(r), net(n), allowed(std::move(layers)), k(count) {}

Score SelectionInput::score(const LayerSet& full) {
  Score s;
  for (int r = 0; r < std::ssize(run.evaluator.rounds()); ++r) s = score(full, r);
  return s;
}

Score SelectionInput::score(const LayerSet& full, int round) {
  if (round == 0) ++spent.evaluations;
  const Path path = path_of(layers(), full);
  for (const auto& o : config().full_objective) {
    if (o.task == kKlTask) {
      if (round == 0) charge_kl(path);
      continue;
    }
    const Task part = run.evaluator.search_round(o.task, round);
    const int64_t tokens = query_tokens(part), items = std::max<int64_t>(1, std::ssize(part.items));
    const int64_t length = std::max<int64_t>(1, tokens / items);
    spent.forward_tokens += tokens;
    spent.flops += static_cast<double>(tokens) * flops_per_token(net.spec(path), length, 1);
  }
  return objective_score(net, path, config().full_objective, round);
}

ScoreRounds SelectionInput::rounds() {
  return {run.evaluator.rounds(), [this](const LayerSet& s, int round) { return score(s, round); }};
}

LayerBeamOptions SelectionInput::beam_options() {
  return {.width = config().beam, .so_far = so_far, .rounds = rounds()};
}

double SelectionInput::kl(const Path& path) {
  ++spent.evaluations;
  charge_kl(path);
  return net.kl(path);
}

void SelectionInput::charge_kl(const Path& path) {
  const int64_t tokens = net.probe_tokens(), length = run.recipe.supernet.budget.distill.train.length;
  spent.forward_tokens += tokens;
  spent.flops += static_cast<double>(tokens) * (flops_per_token(net.spec(path), length, length) +
                                                flops_per_token(run.teacher.spec(), length, length));
}

void SelectionInput::charge_training(int64_t tokens, int length, const std::vector<Path>& paths, bool taught) {
  spent.train_tokens += tokens;
  double each = taught ? flops_per_token(run.teacher.spec(), length, length) : 0;
  for (const Path& p : paths) each += 2 * flops_per_token(net.spec(p), length, length);
  spent.flops += static_cast<double>(tokens) * each;
}

Path path_of(int layers, const LayerSet& full, const LayerSet& swa, const LayerSet& none) {
  Path p(layers, Branch::linear);
  for (int i : none) p[i] = Branch::none;
  for (int i : swa) p[i] = Branch::swa;
  for (int i : full) p[i] = Branch::full;
  return p;
}

LayerSet top_layers(const std::vector<int>& allowed, const std::vector<double>& value, int k) {
  for (int i : allowed) require(std::isfinite(value[i]), "placement: the value of layer {} is not finite", i);
  std::vector<int> order = allowed;
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return value[a] > value[b]; });
  return LayerSet(order.begin(), order.begin() + std::min<size_t>(k, order.size()));
}

Score objective_score(const std::vector<TaskWeight>& objective, const std::function<Json(const std::string&)>& of) {
  double accuracy = 0, nll = 0, total = 0, loss = 0, by_loss = 0;
  for (const auto& o : objective) {
    const Json j = of(o.task);
    const double own = j.at("nll").get<double>();
    nll += o.weight * own, total += o.weight;
    if (o.by_loss()) {
      loss += o.weight * own, by_loss += o.weight;
    } else {
      accuracy += o.weight * j.at("accuracy").get<double>();
    }
  }
  if (by_loss > 0) accuracy += by_loss * std::exp(-loss / by_loss);
  return {accuracy / total, nll / total};
}

Score objective_score(Supernet& net, const Path& path, const std::vector<TaskWeight>& objective,
                      std::optional<int> round) {
  return objective_score(objective, [&](const std::string& task) { return net.term(path, task, round); });
}

std::string objective_text(const std::vector<TaskWeight>& objective) {
  std::string out;
  for (const auto& o : objective) {
    if (!out.empty()) out += " + ";
    out += o.weight == 1 ? o.task : fmt::format("{:g} {}", o.weight, o.task);
    if (o.by_loss()) out += " (loss)";
  }
  return out;
}

namespace {

Selected select_beam(SelectionInput& in) {
  const PlacementConfig& c = in.config();
  LayerBeamOptions o = in.beam_options();
  o.budget = c.beam_budget;
  if (c.beam_patience >= 0)
    o.enough = in.score(LayerSet(in.allowed.begin(), in.allowed.end())).accuracy - c.beam_patience;
  Selection s = beam_search(in.allowed, in.k, o, in.scorer());
  return {s.layers, {.beam = s.trace}, s.note};
}

Selected select_top_down(SelectionInput& in) {
  const PlacementConfig& c = in.config();
  LayerBeamOptions o = in.beam_options();
  o.budget = c.beam_budget, o.from = BeamFrom::all, o.step = c.step;
  Selection s = beam_search(in.allowed, in.k, o, in.scorer());
  return {s.layers, {.beam = s.trace}, s.note};
}

// One round where the recipe sets no limit.
int64_t swap_budget(int64_t layers, int64_t k, const PlacementConfig& c) {
  return c.swaps > 0 ? c.swaps : 1 + swap_evaluations(layers, k);
}

Selected select_swaps(SelectionInput& in) {
  const auto budget = static_cast<int>(swap_budget(std::ssize(in.allowed), in.k, in.config()));
  Selection s = swap_search(in.allowed, uniform_layers(in.allowed, in.k), budget, in.scorer(), in.so_far, in.rounds());
  return {s.layers, {.beam = s.trace}, s.note + ", from evenly spaced layers"};
}

Selected select_exhaustive(SelectionInput& in) {
  const Exhaustive e = exhaustive_search(in.allowed, in.k, in.scorer());
  return {e.best.layers, {}, fmt::format("best of {}", e.all.size())};
}

Selected select_given(SelectionInput& in) {
  const LayerSet layers(in.config().layers.begin(), in.config().layers.end());
  require(std::ssize(layers) == in.k, "placement: layers names {} of {} full layers", layers.size(), in.k);
  return {layers};
}

Selected select_uniform(SelectionInput& in) { return {uniform_layers(in.allowed, in.k)}; }

Selected select_random(SelectionInput& in) { return {random_layers(in.allowed, in.k, in.run.recipe.seed, 0)}; }

Selected select_last(SelectionInput& in) { return {LayerSet(in.allowed.end() - in.k, in.allowed.end())}; }

// By the heat map: the k layers whose lone restoration scores lowest.
Selected select_worst(SelectionInput& in) {
  std::vector<std::pair<Score, int>> one;
  for (int i : in.allowed) one.emplace_back(in.score({i}), i);
  std::stable_sort(one.begin(), one.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Selected s;
  for (int i = 0; i < in.k; ++i) s.layers.insert(one[i].second);
  s.note = "lowest of the heat map";
  return s;
}

int64_t combinations(int64_t n, int64_t k) {
  double sets = 1;
  for (int64_t i = 0; i < k; ++i) sets = sets * static_cast<double>(n - i) / static_cast<double>(i + 1);
  return std::llround(std::min(sets, 1e15));
}

using Bound = SelectorBound;
using Config = const PlacementConfig&;

int64_t sets_of(const std::vector<AskedDepth>& depths) {
  int64_t sum = 0;
  for (const AskedDepth& d : depths) sum += d.sets;
  return sum;
}

Bound nothing(int64_t, int64_t, Config) { return {}; }
Bound one_a_layer(int64_t n, int64_t, Config) { return {n}; }
Bound one_more_than_layers(int64_t n, int64_t, Config) { return {n + 1}; }
Bound all_sets(int64_t n, int64_t k, Config) { return {combinations(n, k)}; }
Bound gates_alone(int64_t, int64_t, Config) { return {0, true}; }
Bound beam_of_likely(int64_t n, int64_t k, Config c) {
  const auto depths = beam_depths(std::min(n, 2 * k), k, c.beam);
  return {sets_of(depths), true, depths};
}
// Depths as far as the recipe's budget goes.
std::vector<AskedDepth> within_budget(std::vector<AskedDepth> depths, Config c) {
  int64_t left = c.beam_budget;
  if (left > 0)
    for (AskedDepth& d : depths) d.sets = std::min(d.sets, left), left -= d.sets;
  return depths;
}
Bound beam_of_all(int64_t n, int64_t k, Config c) {
  const auto depths = within_budget(beam_depths(n, k, c.beam), c);
  return {sets_of(depths) + (c.beam_patience >= 0 ? 1 : 0), false, depths};
}
Bound top_down(int64_t n, int64_t k, Config c) {
  const auto depths = within_budget(beam_depths(n, n - k, c.beam, c.step), c);
  return {sets_of(depths), false, depths};
}
Bound swaps_of_budget(int64_t n, int64_t k, Config c) { return {swap_budget(n, k, c)}; }

}  // namespace

const std::vector<Selector>& selectors() {
  static const std::vector<Selector> all = {
      {"beam", select_beam, beam_of_all},
      {"top down", select_top_down, top_down},
      {"swaps", select_swaps, swaps_of_budget},
      {"beam with gates", select_beam_gates, beam_of_likely},
      {"exhaustive", select_exhaustive, all_sets},
      {"gates", select_gates, gates_alone},
      {"restore", select_restore, one_more_than_layers},
      {"swap drop", select_swap_drop, one_more_than_layers},
      {"importance", select_importance, nothing},
      {"given", select_given, nothing},
      {"uniform", select_uniform, nothing},
      {"random", select_random, nothing},
      {"last", select_last, nothing},
      {"worst", select_worst, one_a_layer},
  };
  return all;
}

namespace {

// Swaps that improve the recipe's choice.
bool is_refined(const std::string& name, const PlacementConfig& c) {
  return c.swaps > 0 && name == c.selector && name != "swaps";
}

}  // namespace

Selected select_layers(const std::string& name, SelectionInput& in) {
  Selected s = selector_named(name).select(in);
  if (!is_refined(name, in.config())) return s;
  const auto before = s.trace.beam;
  const auto with_swaps = [&before](const std::vector<BeamDepth>& swaps) {
    std::vector<BeamDepth> all = before;
    for (const BeamDepth& d : swaps) all.push_back({static_cast<int>(std::ssize(all)) + 1, d.candidates});
    return all;
  };
  const BeamSoFar so_far = [&](const auto& trace) { in.so_far([&] { return with_swaps(trace()); }); };
  const Selection better =
      swap_search(in.allowed, s.layers, in.config().swaps, in.scorer(), in.so_far ? so_far : BeamSoFar{}, in.rounds());
  s.layers = better.layers;
  if (s.trace.by_layer.empty()) s.trace.beam = with_swaps(better.trace);
  s.note += (s.note.empty() ? "" : "; ") + better.note;
  return s;
}

SelectorBound select_at_most(const std::string& name, int64_t layers, int64_t k, const PlacementConfig& c) {
  SelectorBound most = selector_named(name).at_most(layers, k, c);
  if (is_refined(name, c)) most.paths += c.swaps;
  return most;
}

std::vector<std::string> asked_selectors(const PlacementConfig& c) {
  std::vector<std::string> names{c.selector};
  for (const auto& name : c.selectors)
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  for (const char* baseline : {"uniform", "last"})
    if (std::find(names.begin(), names.end(), baseline) == names.end()) names.emplace_back(baseline);
  return names;
}

const Selector& selector_named(const std::string& name) {
  std::string known;
  for (const auto& s : selectors()) {
    if (s.name == name) return s;
    known += (known.empty() ? "" : ", ") + std::string(s.name);
  }
  fail("unknown selector '{}' (known: {})", name, known);
}

}  // namespace jet
