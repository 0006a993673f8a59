#include "jet/search/placement.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "jet/base/rng.h"

namespace jet {

namespace {

using Scored = std::pair<LayerSet, Score>;

std::vector<Scored> sorted(const std::map<LayerSet, Score>& candidates) {
  std::vector<Scored> out(candidates.begin(), candidates.end());
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return b.second < a.second; });
  return out;
}

BeamDepth trace_of(int depth, const std::vector<Scored>& candidates, int width) {
  BeamDepth out{depth, {}};
  for (size_t i = 0; i < candidates.size(); ++i) {
    const auto& [layers, score] = candidates[i];
    out.candidates.push_back({layers, score.accuracy, score.nll, i < static_cast<size_t>(width)});
  }
  return out;
}

}  // namespace

Selection beam_search(const std::vector<int>& allowed, int k, const LayerBeamOptions& o, const ScoreLayers& score) {
  Selection out;
  std::vector<Scored> beam{{{}, {}}}, single;
  std::map<LayerSet, Score> candidates;
  bool spent = false;
  const auto trace = [&] {
    std::vector<BeamDepth> all = out.trace;
    all.push_back(trace_of(static_cast<int>(all.size()) + 1, sorted(candidates), o.width));
    return all;
  };
  for (int depth = 1; depth <= k && !spent; ++depth) {
    candidates.clear();
    for (const auto& [set, its_score] : beam) {
      for (int layer : allowed) {
        LayerSet next = set;
        if (!next.insert(layer).second || candidates.count(next) > 0) continue;
        spent = o.budget > 0 && out.evaluations >= o.budget;
        if (spent) break;
        candidates[next] = score(next);
        ++out.evaluations;
        if (o.so_far) o.so_far(trace);
      }
    }
    if (candidates.empty()) break;
    const auto all = sorted(candidates);
    if (depth == 1) single = all;
    out.trace.push_back(trace_of(depth, all, o.width));
    beam.assign(all.begin(), all.begin() + std::min<size_t>(all.size(), o.width));
    out.layers = beam.front().first;
    out.score = beam.front().second;
    if (out.score.accuracy >= o.enough && depth < k) {
      out.note = fmt::format("{} layers are enough", depth);
      return out;
    }
  }
  for (size_t i = 0; i < single.size() && static_cast<int>(out.layers.size()) < k; ++i) {
    out.layers.insert(*single[i].first.begin());
    out.note = fmt::format("filled up after {} evaluations", out.evaluations);
  }
  return out;
}

int64_t beam_evaluations(int64_t allowed, int64_t k, int64_t width) {
  int64_t sum = 0, sets = 1;  // sets: in the beam
  for (int64_t depth = 0; depth < k; ++depth) {
    sum += sets * (allowed - depth);
    sets = std::min(width, sets * (allowed - depth));
  }
  return sum;
}

Exhaustive exhaustive_search(const std::vector<int>& allowed, int k, const ScoreLayers& score) {
  Exhaustive out;
  std::vector<bool> chosen(allowed.size(), false);
  std::fill(chosen.begin(), chosen.begin() + k, true);
  do {
    LayerSet set;
    for (size_t i = 0; i < allowed.size(); ++i)
      if (chosen[i]) set.insert(allowed[i]);
    const Score s = score(set);
    if (out.all.empty() || out.best.score < s) {
      out.best.layers = set;
      out.best.score = s;
    }
    out.all.push_back(s);
  } while (std::prev_permutation(chosen.begin(), chosen.end()));
  out.best.evaluations = static_cast<int>(out.all.size());
  return out;
}

int Exhaustive::rank(const Score& s) const {
  return 1 + static_cast<int>(std::count_if(all.begin(), all.end(), [&](const Score& o) { return s < o; }));
}

std::vector<int> all_layers(int n) {
  std::vector<int> out(n);
  std::iota(out.begin(), out.end(), 0);
  return out;
}

std::vector<int> other_layers(int n, const LayerSet& taken) {
  std::vector<int> out = all_layers(n);
  std::erase_if(out, [&](int i) { return taken.count(i) > 0; });
  return out;
}

LayerSet uniform_layers(const std::vector<int>& allowed, int k) {
  LayerSet out;
  const auto n = static_cast<int>(allowed.size());
  for (int i = 0; i < k; ++i) out.insert(allowed[(2 * i + 1) * n / (2 * k)]);
  return out;
}

LayerSet random_layers(const std::vector<int>& allowed, int k, uint64_t seed, int draw) {
  Rng rng(seed, "random placement " + std::to_string(draw));
  LayerSet out;
  while (static_cast<int>(out.size()) < k) out.insert(allowed[rng.below(allowed.size())]);
  return out;
}

}  // namespace jet
