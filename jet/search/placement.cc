#include "jet/search/placement.h"

#include <algorithm>
#include <map>

#include "jet/base/rng.h"

namespace jet {

Selection beam_search(const std::vector<int>& allowed, int k, int width, const ScoreLayers& score) {
  Selection out;
  std::vector<LayerSet> beam{{}};
  for (int depth = 1; depth <= k; ++depth) {
    std::map<LayerSet, Score> candidates;
    for (const auto& set : beam) {
      for (int layer : allowed) {
        LayerSet next = set;
        if (!next.insert(layer).second || candidates.count(next) > 0) continue;
        candidates[next] = score(next);
        ++out.evaluations;
      }
    }
    std::vector<std::pair<LayerSet, Score>> sorted(candidates.begin(), candidates.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return b.second < a.second; });
    Json rows = Json::array();
    for (size_t i = 0; i < sorted.size(); ++i) {
      rows.push_back({{"layers", sorted[i].first},
                      {"score", sorted[i].second.accuracy},
                      {"loss", sorted[i].second.nll},
                      {"kept", i < static_cast<size_t>(width)}});
    }
    out.trace.push_back({{"depth", depth}, {"candidates", rows}});
    beam.clear();
    for (size_t i = 0; i < std::min<size_t>(sorted.size(), width); ++i) beam.push_back(sorted[i].first);
    out.layers = sorted.front().first;
    out.score = sorted.front().second;
  }
  return out;
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
