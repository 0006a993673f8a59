// The stage dimensions: what the chosen block should look like on this machine. All combinations of heads x dK x dV (a
// constant state; dV over dK is the value expansion), of convolution widths and of sliding windows are priced by the
// cost model, which is fitted to this machine first (jet/eval/cost.h); those that it predicts to decode fastest are
// trained and measured. The most accurate of those that are measured about as fast as the fastest is taken.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "jet/eval/cost.h"
#include "jet/eval/machine.h"
#include "jet/search/candidate_rows.h"
#include "jet/search/stages.h"

namespace jet {

namespace {

constexpr int kFits = 7;  // of the cost model

// `kind` with one more option.
std::string with_option(const std::string& kind, const std::string& option) {
  return kind + (kind.find(':') == std::string::npos ? ":" : ",") + option;
}

// The block as it was trained in the stage before: {"heads", "dk", "dv", "conv", "window"}; no "conv" where it has
// none.
Json own_dimensions(const Run& run, const std::string& kind) {
  const auto& a = attention_of(run.base.spec, 0);
  Json d = {{"heads", a.heads}, {"dk", a.head_dim}, {"dv", a.head_dim}, {"window", run.recipe.placement.window}};
  if (const Json block = mixer_to_json(make_mixer(kind, a)); block.contains("conv")) d["conv"] = block["conv"];
  return d;
}

// All combinations that the recipe names, the block's own first.
std::vector<Json> combinations(const Run& run, const Placement& p, const std::string& kind) {
  const DimensionsConfig& c = run.recipe.dimensions;
  const Json own = own_dimensions(run, kind);
  std::vector<Json> all = {own};
  auto shapes = c.candidates;
  auto widths = own.contains("conv") ? c.conv : std::vector<int>{};
  auto windows = p.swa.empty() ? std::vector<int>{} : c.windows;
  if (shapes.empty()) shapes = {{own["heads"], own["dk"], own["dv"]}};
  if (widths.empty()) widths = {own.value("conv", 0)};
  if (windows.empty()) windows = {own["window"].get<int>()};
  for (const auto& s : shapes) {
    for (const int width : widths) {
      for (const int window : windows) {
        Json d = {{"heads", s[0]}, {"dk", s[1]}, {"dv", s[2]}, {"window", window}};
        if (own.contains("conv")) d["conv"] = width;
        if (d != own) all.push_back(d);
      }
    }
  }
  return all;
}

std::string name_of(const Json& d) {
  std::string name = fmt::format("{}x{}x{}", d.at("heads").get<int>(), d.at("dk").get<int>(), d.at("dv").get<int>());
  if (d.contains("conv")) name += fmt::format(" conv {}", d["conv"].get<int>());
  return name + fmt::format(" window {}", d.at("window").get<int>());
}

// Fits the cost model to this machine and prices every combination, relative to the base, with which each candidate is
// measured by turns: what makes all small or all large models slower than the model says is the same for both. Medians
// of several fits, as other work comes and goes. Of the others than the block's own, only the fastest are kept: `most`
// in all.
Json prune(Run& run, const Placement& p, const std::string& kind) {
  const DimensionsConfig& c = run.recipe.dimensions;
  std::vector<Json> all = combinations(run, p, kind);
  if (all.size() == 1) return {{"kept", all}, {"pruned", Json::array()}};
  const CountTypes types = engine_types(DType::bf16);
  const EngineOptions options{.threads = run.recipe.threads};
  MachineProbe probe(DType::bf16, weight_bytes(run.base.spec, types), options);
  std::vector<Machine> fits(kFits);
  for (Machine& m : fits) m = probe.measure({Stage::decode, c.context, 1, c.batch});
  for (Json& d : all) {
    ModelSpec spec = run.base.spec;
    spec.layers = with_dimensions(run, p, kind, d);
    std::vector<double> speedups;
    for (const Machine& m : fits) {
      speedups.push_back(predict_decode(spec, m, c.context, c.batch, types) /
                         predict_decode(run.base.spec, m, c.context, c.batch, types));
    }
    d["predicted_speedup"] = median(speedups);
  }
  const auto speed = [&](size_t i) { return all[i].at("predicted_speedup").get<double>(); };
  std::vector<size_t> order(all.size() - 1);
  std::iota(order.begin(), order.end(), size_t{1});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return speed(a) > speed(b); });
  const std::set<size_t> slow(order.begin() + std::min<std::ptrdiff_t>(c.most, std::ssize(all)) - 1, order.end());
  Json out = {{"kept", Json::array()}, {"pruned", Json::array()}};
  for (size_t i = 0; i < all.size(); ++i) out[slow.count(i) > 0 ? "pruned" : "kept"].push_back(all[i]);
  return out;
}

}  // namespace

std::vector<MixerSpec> with_dimensions(const Run& run, const Placement& p, const std::string& kind, const Json& d) {
  const std::vector<int> dims = {d.at("heads"), d.at("dk"), d.at("dv")};
  const std::string block = d.contains("conv") ? with_option(kind, fmt::format("conv={}", d["conv"].get<int>())) : kind;
  return placed_layers(
      run, p, [&](const Attention::Config& a) { return make_mixer(block, a, dims); }, d.at("window").get<int>());
}

Json search_dimensions(Run& run, const Placement& p, const Json& blocks) {
  const DimensionsConfig& c = run.recipe.dimensions;
  const std::string kind = blocks.at("chosen");
  const Json priced = run.ledger.once_by_first("dimensions/priced", [&] { return prune(run, p, kind); });
  const Json own = own_dimensions(run, kind);
  Json out = {
      {"candidates", Json::array()}, {"pruned", priced.at("pruned")}, {"context", c.context}, {"batch", c.batch}};
  const auto trained = [&](const Json& d) {  // in the stage before
    return std::all_of(own.items().begin(), own.items().end(),
                       [&](const auto& x) { return d.at(x.key()) == x.value(); });
  };
  const auto candidate = [&](const Json& d) {
    return Candidate{.name = fmt::format("dims-{}-{}", kind, name_of(d)),
                     .layers = with_dimensions(run, p, kind, d),
                     .lr = blocks.at("best").at("lr")};
  };
  std::vector<Candidate> others;
  for (const Json& d : priced.at("kept"))
    if (!trained(d)) others.push_back(candidate(d));
  train_candidates(run, others);
  double fastest = 0, worst_error = 0;
  for (const Json& d : priced.at("kept")) {
    Json row = blocks.at("best");
    std::string name = row.at("name");
    if (!trained(d)) {
      const Candidate trial = candidate(d);
      row = row_of(train_candidate(run, trial));
      name = trial.name;
    }
    row.update(d);
    row.update({{"name", name}, {"score", mean_accuracy(row)}});
    const double measured = row.at("speedup");
    if (d.contains("predicted_speedup")) {
      row["predicted_error"] = d["predicted_speedup"].get<double>() / measured - 1;
      worst_error = std::max(worst_error, std::abs(row["predicted_error"].get<double>()));
    }
    fastest = std::max(fastest, measured);
    out["candidates"].push_back(row);
  }
  out["worst_error"] = worst_error;
  Json best;
  for (auto& row : out["candidates"]) {
    row["fast_enough"] = row.at("speedup").get<double>() >= (1 - c.speed_tolerance) * fastest;
    if (!row["fast_enough"].get<bool>() || row.value("diverged", false)) continue;
    if (best.is_null() || better_row(row, best)) best = row;
  }
  require(!best.is_null(), "dimensions: every candidate that is fast enough diverged; lower blocks.lrs");
  best["kind"] = kind;
  out["chosen"] = best;
  return out;
}

}  // namespace jet
