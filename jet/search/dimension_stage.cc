// The stage dimensions: what the chosen block should look like on this machine. All combinations of heads x dK x dV (a
// constant state; dV over dK is the value expansion), of convolution widths and of sliding windows are priced by the
// cost model, which is fitted to this machine first (jet/eval/cost.h); those that it predicts to decode fastest are
// trained and measured. The most accurate of those that are measured about as fast as the fastest is taken.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "jet/eval/cost.h"
#include "jet/eval/machine.h"
#include "jet/search/candidates.h"
#include "jet/search/stages.h"

namespace jet {

namespace {

constexpr int kFits = 7;  // of the cost model

// `kind` with one more option.
std::string with_option(const std::string& kind, const std::string& option) {
  return kind + (kind.find(':') == std::string::npos ? ":" : ",") + option;
}

// The block as it was trained in the stage before.
Dimensions own_dimensions(const Run& run, const std::string& kind) {
  const auto& a = attention_of(run.teacher.spec(), searched_layers(run).front());
  Dimensions d;
  d.heads = a.heads, d.dk = d.dv = a.head_dim, d.window = run.recipe.placement.window;
  if (const Json block = mixer_to_json(make_mixer(kind, a)); block.contains("conv")) d.conv = block["conv"].get<int>();
  return d;
}

// All combinations that the recipe names, the block's own first.
std::vector<Dimensions> combinations(const Run& run, const Placement& p, const std::string& kind) {
  const DimensionsConfig& c = run.recipe.dimensions;
  const Dimensions own = own_dimensions(run, kind);
  std::vector<Dimensions> all = {own};
  auto shapes = c.candidates;
  auto widths = own.conv ? c.conv : std::vector<int>{};
  auto windows = p.swa.empty() ? std::vector<int>{} : c.windows;
  if (shapes.empty()) shapes = {{*own.heads, *own.dk, *own.dv}};
  if (widths.empty()) widths = {own.conv.value_or(0)};
  if (windows.empty()) windows = {*own.window};
  for (const auto& s : shapes) {
    for (const int width : widths) {
      for (const int window : windows) {
        Dimensions d;
        d.heads = s[0], d.dk = s[1], d.dv = s[2], d.window = window;
        if (own.conv) d.conv = width;
        if (!d.same_shape(own)) all.push_back(d);
      }
    }
  }
  return all;
}

std::string name_of(const Dimensions& d) {
  std::string name = fmt::format("{}x{}x{}", *d.heads, *d.dk, *d.dv);
  if (d.conv) name += fmt::format(" conv {}", *d.conv);
  return name + fmt::format(" window {}", *d.window);
}

// Fits the cost model to this machine and prices every combination, relative to the base, with which each candidate is
// measured by turns: what makes all small or all large models slower than the model says is the same for both. Medians
// of several fits, as other work comes and goes.
void price(const Run& run, const Placement& p, const std::string& kind, std::vector<Dimensions>& all) {
  const DimensionsConfig& c = run.recipe.dimensions;
  const ModelSpec& base = run.teacher.spec();
  const CountTypes types = engine_types(DType::bf16);
  const EngineOptions options{.threads = run.recipe.threads};
  MachineProbe probe(DType::bf16, weight_bytes(base, types), options);
  std::vector<Machine> fits(kFits);
  for (Machine& m : fits) m = probe.measure({Stage::decode, c.context, 1, c.batch});
  for (Dimensions& d : all) {
    ModelSpec spec = base;
    spec.layers = with_dimensions(run, p, kind, d);
    std::vector<double> speedups;
    for (const Machine& m : fits) {
      speedups.push_back(predict_decode(spec, m, c.context, c.batch, types) /
                         predict_decode(base, m, c.context, c.batch, types));
    }
    d.predicted_speedup = median(speedups);
  }
}

// The block's own shape and, of the others, the fastest as predicted: `most` in all.
PricedDimensions prune(const Run& run, const Placement& p, const std::string& kind) {
  std::vector<Dimensions> all = combinations(run, p, kind);
  if (all.size() == 1) return {all, {}};
  price(run, p, kind, all);
  std::vector<size_t> order(all.size() - 1);
  std::iota(order.begin(), order.end(), size_t{1});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return *all[a].predicted_speedup > *all[b].predicted_speedup; });
  const auto most = std::min<std::ptrdiff_t>(run.recipe.dimensions.most, std::ssize(all));
  const std::set<size_t> slow(order.begin() + most - 1, order.end());
  PricedDimensions out;
  for (size_t i = 0; i < all.size(); ++i) (slow.count(i) > 0 ? out.pruned : out.kept).push_back(all[i]);
  return out;
}

// The most accurate of those that are fast enough.
Row choose(const DimensionsConfig& c, std::vector<Row>& rows) {
  double fastest = 0;
  for (const Row& row : rows) fastest = std::max(fastest, *row.speedup);
  std::optional<Row> best;
  for (Row& row : rows) {
    row.fast_enough = *row.speedup >= (1 - c.speed_tolerance) * fastest;
    if (!*row.fast_enough || row.is_diverged()) continue;
    if (!best || better_row(row, *best)) best = row;
  }
  require(best.has_value(), "dimensions: every candidate that is fast enough diverged; lower blocks.lrs");
  return *best;
}

}  // namespace

std::vector<MixerSpec> with_dimensions(const Run& run, const Placement& p, const std::string& kind,
                                       const Dimensions& d) {
  const std::vector<int> dims = {*d.heads, *d.dk, *d.dv};
  const std::string block = d.conv ? with_option(kind, fmt::format("conv={}", *d.conv)) : kind;
  return placed_layers(
      run, p, [&](const Attention::Config& a) { return make_mixer(block, a, dims); }, *d.window);
}

DimensionsResult search_dimensions(Run& run, const Placement& p, const BlocksResult& blocks) {
  const DimensionsConfig& c = run.recipe.dimensions;
  const std::string& kind = blocks.chosen;
  const auto priced =
      run.folder.ledger.once_by_first<PricedDimensions>("dimensions/priced", [&] { return prune(run, p, kind); });
  const Dimensions own = own_dimensions(run, kind);  // trained in the stage before
  const auto candidate = [&](const Dimensions& d) {
    return Candidate{.name = fmt::format("dims-{}-{}", kind, name_of(d)),
                     .layers = with_dimensions(run, p, kind, d),
                     .lr = *blocks.best.lr};
  };
  DimensionsResult out;
  out.pruned = priced.pruned, out.context = c.context, out.batch = c.batch;
  const auto tell = [&] {
    run.watch.found("dimensions", [&] {
      Json so_far = out;
      so_far.erase("chosen");
      return so_far;
    });
  };
  std::vector<Candidate> others;
  for (const Dimensions& d : priced.kept)
    if (!d.same_shape(own)) others.push_back(candidate(d));
  train_candidates(run, others, tell);

  for (const Dimensions& d : priced.kept) {
    Row row = blocks.best;
    if (!d.same_shape(own)) {
      const Candidate trial = candidate(d);
      row = candidate_row(run, trial);
      row.name = trial.name;
    }
    row.dimensions = d, row.score = mean_accuracy(row);
    if (d.predicted_speedup) {
      row.predicted_error = *d.predicted_speedup / *row.speedup - 1;
      out.worst_error = std::max(out.worst_error, std::abs(*row.predicted_error));
    }
    out.candidates.push_back(row);
    tell();
  }
  out.chosen = choose(c, out.candidates);
  out.chosen.kind = kind;
  return out;
}

}  // namespace jet
