// The stage blocks: every block at the found placement on one budget. Each is trained at several learning rates; the
// leaders again from other seeds, and ranked by their means:
//
//   score = (w1 accuracy + w2 speed + w3 memory + w4 stability) / (w1 + w2 + w3 + w4), each in [0, 1]
//
//   accuracy     mean over the tasks and seeds
//   speed        decode tokens/s over the fastest's
//   memory       the smallest cache over its own
//   stability    seeds that did not diverge, less the share of steps with a loss spike
#include <algorithm>
#include <cmath>
#include <map>

#include "jet/search/baselines.h"
#include "jet/search/candidates.h"
#include "jet/search/stages.h"
#include "jet/search/statistics.h"

namespace jet {

namespace {

using Layers = std::vector<MixerSpec>;

// A block, or a baseline, at the place where it is tried.
struct Entry {
  std::string name, kind;
  Layers layers;
};

std::vector<Candidate> at_rates(const Run& run, const Entry& e) {
  std::vector<Candidate> all;
  for (double lr : run.recipe.blocks.lrs) {
    all.push_back({.name = fmt::format("{}-lr{:g}", e.name, lr), .layers = e.layers, .lr = lr});
    if (new_layers(e.layers).empty()) break;  // the rate is of the alignment, and windows have none
  }
  return all;
}

double loss_of(const CandidateResult& r) { return r.diverged ? INFINITY : r.loss; }

// A kind at every learning rate of the recipe; the best by held-out loss, the others listed beside it.
Row best_of_rates(Run& run, const Entry& e) {
  std::vector<RateTried> tried;
  std::optional<Candidate> best;
  double least = INFINITY;
  for (const Candidate& c : at_rates(run, e)) {
    const CandidateResult r = train_candidate(run, c);
    tried.push_back({c.lr, r.loss, r.diverged});
    if (best && loss_of(r) >= least) continue;
    best = c, least = loss_of(r);
  }
  Row row = candidate_row(run, *best);
  row.rates = tried, row.name = best->name;
  return row;
}

// An entry's best of the rates that have been trained: what can be told of it before its speed is measured.
std::optional<Row> best_so_far(const Run& run, const Entry& e) {
  std::optional<CandidateResult> best;
  for (const Candidate& c : at_rates(run, e)) {
    const auto r = find_candidate(run, c);
    if (r && (!best || loss_of(*r) < loss_of(*best))) best = r;
  }
  if (!best) return std::nullopt;
  Row row = row_of(*best);
  row.kind = e.kind;
  return row;
}

std::vector<Candidate> at_seeds(const Run& run, const Row& row, const Layers& layers) {
  std::vector<Candidate> all;
  for (int seed = 1; seed < run.recipe.blocks.seeds; ++seed)
    all.push_back({.name = fmt::format("{}-seed{}", *row.name, seed),
                   .layers = layers,
                   .lr = *row.lr,
                   .seed = static_cast<uint64_t>(seed),
                   .speed = false});
  return all;
}

// Trains a row's block again from other seeds: its figures become means over those that did not diverge, "spread" the
// standard deviation of accuracy.
void add_seeds(Run& run, Row& row, const Layers& layers) {
  std::vector<double> scores{mean_accuracy(row)}, losses{row.loss};
  std::map<std::string, std::vector<double>> tasks;
  for (const auto& [task, a] : row.accuracy) tasks[task].push_back(a);
  int spikes = *row.spikes, diverged = 0;
  for (const Candidate& c : at_seeds(run, row, layers)) {
    const Row other = candidate_row(run, c);
    diverged += other.is_diverged(), spikes += *other.spikes;
    if (other.is_diverged()) continue;
    scores.push_back(mean_accuracy(other)), losses.push_back(other.loss);
    for (const auto& [task, a] : other.accuracy) tasks[task].push_back(a);
  }
  row.accuracy = {};
  for (const auto& [task, a] : tasks) row.accuracy.add(task, spread(a).mean);
  row.loss = spread(losses).mean, row.loss_spread = spread(losses).sd;
  row.seeds = run.recipe.blocks.seeds, row.seeds_diverged = diverged;
  row.spread = spread(scores).sd, row.spikes = spikes;
}

double stability(const Run& run, const Row& row) {
  const BudgetConfig& b = run.recipe.blocks.budget;
  const double seeds = row.seeds.value_or(1);
  const auto steps = static_cast<double>(b.align.steps() + b.distill.train.steps());
  const double diverged = row.seeds_diverged.value_or(row.is_diverged() ? 1 : 0);
  return std::max(0.0, 1 - diverged / seeds - *row.spikes / (seeds * steps));
}

void score_rows(const Run& run, std::vector<Row>& rows) {
  const ScoreWeights& w = run.recipe.blocks.weights;
  double fastest = 0, smallest = INFINITY;
  for (const auto& r : rows) {
    fastest = std::max(fastest, *r.speedup);
    smallest = std::min(smallest, static_cast<double>(*r.cache_bytes));
  }
  for (auto& r : rows) {
    r.stability = stability(run, r);
    r.score = (w.accuracy * mean_accuracy(r) + w.speed * *r.speedup / fastest +
               w.memory * smallest / static_cast<double>(*r.cache_bytes) + w.stability * *r.stability) /
              (w.accuracy + w.speed + w.memory + w.stability);
  }
}

// What is to be trained, and what has been found out of it.
struct Trials {
  Entry all_linear, uniform, last;
  std::optional<Entry> placed;
  std::vector<Entry> blocks;
  std::vector<Candidate> at_all_rates(const Run& run) const {
    std::vector<Candidate> all;
    const auto add = [&](const Entry& e) {
      for (auto& c : at_rates(run, e)) all.push_back(c);
    };
    add(all_linear), add(uniform), add(last);
    if (placed) add(*placed);
    for (const auto& e : blocks) add(e);
    return all;
  }
};

// The stage's result without what is not known yet; `measured`: rows that are known.
Json blocks_so_far(const Run& run, const Trials& trials, const std::vector<Row>& measured) {
  std::vector<Row> rows = measured;
  for (size_t i = measured.size(); i < trials.blocks.size(); ++i)
    if (const auto row = best_so_far(run, trials.blocks[i])) rows.push_back(*row);
  Json j = {{"candidates", rows}};
  const auto add = [&](const char* key, const Entry& e) {
    if (const auto row = best_so_far(run, e)) j[key] = *row;
  };
  add("all_linear", trials.all_linear), add("uniform", trials.uniform), add("last", trials.last);
  if (trials.placed) add("placed", *trials.placed);
  return j;
}

// Trains the leaders from the other seeds, and ranks all again.
void train_leaders(Run& run, const std::vector<Entry>& blocks, std::vector<Row>& rows,
                   const std::function<void()>& so_far) {
  const BlocksConfig& c = run.recipe.blocks;
  std::vector<size_t> order;
  for (size_t i = 0; i < rows.size(); ++i)
    if (!rows[i].is_diverged()) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return better_row(rows[a], rows[b]); });
  order.resize(std::min<size_t>(order.size(), c.seeds > 1 ? c.leaders : 0));
  std::vector<Candidate> trials;
  for (const size_t i : order)
    for (auto& t : at_seeds(run, rows[i], blocks[i].layers)) trials.push_back(t);
  train_candidates(run, trials, so_far);
  for (const size_t i : order) add_seeds(run, rows[i], blocks[i].layers);
  score_rows(run, rows);
}

// What the branch's start is worth: the chosen block once more from its own random values.
BlocksResult::Start compare_inheritance(Run& run, const Row& best, const Layers& layers) {
  const auto part = [](const CandidateResult& r) {
    Row row = row_of(r);
    row.curve = r.distill.curve;
    return row;
  };
  const auto with = run.folder.ledger.result<CandidateResult>("candidate/" + *best.name);
  const auto without = train_candidate(
      run, {.name = *best.name + "-random", .layers = layers, .lr = *best.lr, .inherit = false, .speed = false});
  return {part(with), part(without)};
}

Placement uniform_placement(const std::vector<int>& allowed, const Placement& like) {
  Placement p;
  p.full = uniform_layers(allowed, static_cast<int>(like.full.size()));
  p.swa = uniform_layers(other_layers(allowed, p.full), static_cast<int>(like.swa.size()));
  return p;
}

// The last layers, windowed before full.
Placement last_placement(const std::vector<int>& allowed, const Placement& like) {
  Placement p;
  const auto full = allowed.end() - std::ssize(like.full), windows = full - std::ssize(like.swa);
  p.swa.insert(windows, full), p.full.insert(full, allowed.end());
  return p;
}

// The best, and the best that is no JetBlock; one seed does not beat the leaders' means.
void choose(const BlocksConfig& c, BlocksResult& out) {
  std::optional<Row> best;
  for (const auto& row : out.candidates) {
    if (row.is_diverged() || (c.seeds > 1 && !row.seeds)) continue;
    if (!best || better_row(row, *best)) best = row;
    auto& other = out.best_without_jet.row;
    if (row.kind != JetBlock::kind && (!other || better_row(row, *other))) other = row;
  }
  require(best.has_value(), "block selection: every candidate diverged; lower blocks.lrs");
  out.best = *best, out.chosen = *best->kind;
}

}  // namespace

BlocksResult select_block(Run& run, const Placement& p) {
  const BlocksConfig& c = run.recipe.blocks;
  const auto entry = [&](const std::string& name, const std::string& kind, const Placement& where) {
    return Entry{name, kind, placed_layers(run, where, [&](const auto& a) { return make_mixer(kind, a); })};
  };
  // The baselines have as many full and windowed layers as the placement.
  const std::string branch = run.recipe.supernet.branch;
  const std::vector<int> allowed = searched_layers(run);
  const Placement uniform = uniform_placement(allowed, p), last = last_placement(allowed, p);
  Trials trials{entry("baseline-all-linear", branch, {}),
                entry("baseline-uniform", branch, uniform),
                entry("baseline-last", branch, last),
                {},
                {}};
  if (p.none) {  // what eliminated layers are compared with
    trials.placed = entry("baseline-placed", branch, {.full = p.full, .swa = p.swa});
  }
  for (const auto& kind : c.kinds) trials.blocks.push_back(entry("block-" + kind, kind, p));
  BlocksResult out;
  out.sinks = sinks_row(run), out.placed_sinks = sinks_row(run, p.full);
  const auto tell = [&] { run.watch.found("blocks", [&] { return blocks_so_far(run, trials, out.candidates); }); };
  train_candidates(run, trials.at_all_rates(run), tell);

  out.all_linear = best_of_rates(run, trials.all_linear), out.uniform = best_of_rates(run, trials.uniform);
  out.uniform.layers = uniform;
  out.last = best_of_rates(run, trials.last), out.last->layers = last;
  if (trials.placed) out.placed = best_of_rates(run, *trials.placed);
  for (const auto& e : trials.blocks) {
    Row row = best_of_rates(run, e);
    row.kind = e.kind;
    out.candidates.push_back(row);
    tell();
  }
  score_rows(run, out.candidates);
  train_leaders(run, trials.blocks, out.candidates, tell);
  choose(c, out);
  if (c.random_start) out.start = compare_inheritance(run, out.best, entry("", out.chosen, p).layers);
  return out;
}

}  // namespace jet
