#include "jet/search/halving.h"

#include <algorithm>

namespace jet {

std::vector<int64_t> round_ends(int64_t first, int64_t all) {
  std::vector<int64_t> ends;
  if (first > 0)
    for (int64_t n = first; n < all; n *= 2) ends.push_back(n);
  ends.push_back(all);
  return ends;
}

std::vector<int64_t> asked_by_round(int64_t sets, int64_t rounds, int64_t keep) {
  std::vector<int64_t> asked;
  for (int64_t r = 0; r < rounds; ++r) {
    asked.push_back(sets);
    sets = std::min(sets, std::max(keep, (sets + 1) / 2));
  }
  return asked;
}

std::vector<AskedSet> ask_by_halves(const std::set<LayerSet>& sets, int rounds, int64_t keep, const ScoreRound& score,
                                    const std::function<void(const std::vector<AskedSet>&)>& told) {
  std::vector<AskedSet> out;
  const auto sort = [&] {
    std::sort(out.begin(), out.end(), [](const AskedSet& a, const AskedSet& b) {
      if (a.round != b.round) return a.round > b.round;
      if (a.score < b.score || b.score < a.score) return b.score < a.score;
      return a.layers < b.layers;
    });
  };
  const auto counts = asked_by_round(std::ssize(sets), rounds, keep);
  std::set<LayerSet> left = sets;
  for (int r = 0; r < rounds; ++r) {
    for (const LayerSet& s : left) {
      const Score its = score(s, r);
      const auto known = std::find_if(out.begin(), out.end(), [&](const AskedSet& a) { return a.layers == s; });
      if (known == out.end()) {
        out.push_back({s, its, r});
      } else {
        known->score = its, known->round = r;
      }
      sort();
      if (told) told(out);
    }
    if (r + 1 == rounds) break;
    left.clear();
    for (int64_t i = 0; i < counts[r + 1]; ++i) left.insert(out[i].layers);
  }
  return out;
}

}  // namespace jet
