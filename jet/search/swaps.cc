// A set of layers made better by exchanging one of them at a time (placement.h).
#include <algorithm>

#include "jet/search/placement.h"

namespace jet {

namespace {

struct Exchange {
  LayerSet layers;
  double promise = 0;
};

// A score on the items up to each round's, as far as it was asked.
using ByRound = std::vector<Score>;

class Swaps {
 public:
  Swaps(const std::vector<int>& allowed, int budget, const ScoreLayers& score, const BeamSoFar& so_far,
        const ScoreRounds& rounds)
      : allowed_(allowed), budget_(budget), score_(score), so_far_(so_far), rounds_(rounds) {}

  Selection search(const LayerSet& start) {
    out_.layers = start;
    if (const auto own = ask(start, {})) own_ = *own, out_.score = own_.back();
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
  // Up to the first round in which the set is not better than `than`; all rounds where that is empty.
  std::optional<ByRound> ask(const LayerSet& set, const ByRound& than) {
    spent_ = budget_ > 0 && out_.evaluations >= budget_;
    if (spent_) return std::nullopt;
    ++out_.evaluations;
    ByRound its;
    for (int r = 0; r < rounds_.count(); ++r) {
      its.push_back(rounds_.score ? rounds_.score(set, r) : score_(set));
      if (!than.empty() && !(than[r] < its[r])) break;
    }
    return its;
  }

  // The exchanges, the most promising first; fewer where the budget ends.
  std::vector<Exchange> exchanges() {
    std::vector<std::pair<int, double>> out, in;
    for (const int layer : allowed_) {
      LayerSet set = out_.layers;
      const bool full = set.erase(layer) > 0;
      if (!full) set.insert(layer);
      const auto score = ask(set, {});
      if (!score) break;
      (full ? out : in).emplace_back(layer, score->back().as_number());
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
      const auto its = ask(e.layers, own_);
      if (!its) return false;
      const auto last = static_cast<int>(std::ssize(*its)) - 1;
      const bool better = own_[last] < its->back();
      tried.push_back(rounds_.candidate(e.layers, its->back(), last, better));
      if (so_far_) so_far_([this] { return out_.trace; });
      if (!better) continue;
      out_.layers = e.layers, own_ = *its, out_.score = own_.back();
      return true;
    }
    return false;
  }

  const std::vector<int>& allowed_;
  const int budget_;
  const ScoreLayers& score_;
  const BeamSoFar& so_far_;
  const ScoreRounds& rounds_;
  ByRound own_;  // of the set as it is
  bool spent_ = false;
  Selection out_;
};

}  // namespace

Selection swap_search(const std::vector<int>& allowed, const LayerSet& start, int budget, const ScoreLayers& score,
                      const BeamSoFar& so_far, const ScoreRounds& rounds) {
  return Swaps(allowed, budget, score, so_far, rounds).search(start);
}

int64_t swap_evaluations(int64_t allowed, int64_t k) { return allowed + k * (allowed - k); }

}  // namespace jet
