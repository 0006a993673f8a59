// A set of layers made better by exchanging one of them at a time (placement.h).
#include <algorithm>

#include "jet/search/placement.h"

namespace jet {

namespace {

struct Exchange {
  LayerSet layers;
  double promise = 0;
};

class Swaps {
 public:
  Swaps(const std::vector<int>& allowed, int budget, const ScoreLayers& score, const BeamSoFar& so_far)
      : allowed_(allowed), budget_(budget), score_(score), so_far_(so_far) {}

  Selection search(const LayerSet& start) {
    out_.layers = start;
    if (const auto own = ask(start)) out_.score = *own;
    int made = 0;
    bool better = true;
    while (better && !spent_) {
      better = round();
      made += better ? 1 : 0;
    }
    out_.note = fmt::format("{} swap{}{}", made, made == 1 ? "" : "s",
                            spent_ ? fmt::format(" in {} evaluations", out_.evaluations) : ", none is left to make");
    return out_;
  }

 private:
  std::optional<Score> ask(const LayerSet& set) {
    spent_ = budget_ > 0 && out_.evaluations >= budget_;
    if (spent_) return std::nullopt;
    ++out_.evaluations;
    return score_(set);
  }

  // The exchanges, the most promising first; fewer where the budget ends.
  std::vector<Exchange> exchanges() {
    std::vector<std::pair<int, double>> out, in;
    for (const int layer : allowed_) {
      LayerSet set = out_.layers;
      const bool full = set.erase(layer) > 0;
      if (!full) set.insert(layer);
      const auto score = ask(set);
      if (!score) break;
      (full ? out : in).emplace_back(layer, score->as_number());
    }
    std::vector<Exchange> all;
    for (const auto& [gone, without] : out) {
      for (const auto& [come, with] : in) {
        LayerSet set = out_.layers;
        set.erase(gone), set.insert(come);
        all.push_back({set, without + with});
      }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Exchange& a, const Exchange& b) { return a.promise > b.promise; });
    return all;
  }

  // True where an exchange was made.
  bool round() {
    const auto all = exchanges();
    if (spent_) return false;
    out_.trace.push_back({static_cast<int>(std::ssize(out_.trace)) + 1, {}});
    auto& tried = out_.trace.back().candidates;
    for (const Exchange& e : all) {
      const auto score = ask(e.layers);
      if (!score) return false;
      const bool better = out_.score < *score;
      tried.push_back({e.layers, score->accuracy, score->nll, better});
      if (so_far_) so_far_([this] { return out_.trace; });
      if (!better) continue;
      out_.layers = e.layers, out_.score = *score;
      return true;
    }
    return false;
  }

  const std::vector<int>& allowed_;
  const int budget_;
  const ScoreLayers& score_;
  const BeamSoFar& so_far_;
  bool spent_ = false;
  Selection out_;
};

}  // namespace

Selection swap_search(const std::vector<int>& allowed, const LayerSet& start, int budget, const ScoreLayers& score,
                      const BeamSoFar& so_far) {
  return Swaps(allowed, budget, score, so_far).search(start);
}

int64_t swap_evaluations(int64_t allowed, int64_t k) { return allowed + k * (allowed - k); }

}  // namespace jet
