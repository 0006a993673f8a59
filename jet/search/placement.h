// Which layers keep full attention, and which get a sliding window: the heat map, the beam, and what it is compared
// with, all over one score: a path's accuracy on a task's items, ties broken by the answers' loss.
#pragma once

#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "jet/base/json.h"

namespace jet {

struct Score {
  double accuracy = 0, nll = 0;
  /// One number for correlations: the loss weighs less than any item.
  double as_number() const { return accuracy - 1e-6 * nll; }
  bool operator<(const Score& o) const { return accuracy != o.accuracy ? accuracy < o.accuracy : nll > o.nll; }
};

using LayerSet = std::set<int>;

/// One depth of a beam: every set of layers that it looked at, the best first.
struct BeamDepth {
  struct Candidate {
    LayerSet layers;
    double score = 0, loss = 0;
    bool kept = false;
    template <class V>
    static void fields(Candidate& c, V&& v) {
      v("layers", c.layers), v("score", c.score), v("loss", c.loss), v("kept", c.kept);
    }
  };
  int depth = 0;
  std::vector<Candidate> candidates;
  template <class V>
  static void fields(BeamDepth& d, V&& v) {
    v("depth", d.depth), v("candidates", d.candidates);
  }
};
using ScoreLayers = std::function<Score(const LayerSet&)>;

struct Selection {
  LayerSet layers;
  Score score;
  int evaluations = 0;
  std::string note;  // why the search ended early, where it did
  std::vector<BeamDepth> trace;
};

/// Told after every evaluation, of a function that gives the trace with the depth at work.
using BeamSoFar = std::function<void(const std::function<std::vector<BeamDepth>()>& trace)>;

struct LayerBeamOptions {
  int width = 3;
  int budget = 0;            // evaluations; 0: no limit
  double enough = INFINITY;  // an accuracy that ends the search: a smaller set has reached it
  BeamSoFar so_far{};
};

/// The best `k` of `allowed`, by growing sets: every set of the beam is extended by every layer, the best `width` stay;
/// of equal scores, the set that is first in lexicographic order. Where the budget ends before the last depth, the best
/// set so far is filled up with the best single layers.
Selection beam_search(const std::vector<int>& allowed, int k, const LayerBeamOptions& options,
                      const ScoreLayers& score);
/// How often beam_search asks for a score at most, without a budget.
int64_t beam_evaluations(int64_t allowed, int64_t k, int64_t width);
/// All sets of k layers; `rank` is given a score and says how many sets are better.
struct Exhaustive {
  Selection best;
  std::vector<Score> all;
  int rank(const Score& s) const;
};
Exhaustive exhaustive_search(const std::vector<int>& allowed, int k, const ScoreLayers& score);

/// 0 .. n - 1.
std::vector<int> all_layers(int n);
/// 0 .. n - 1 without `taken`.
std::vector<int> other_layers(int n, const LayerSet& taken);
/// k of `allowed`, evenly spaced: the middle of each of k equal parts.
LayerSet uniform_layers(const std::vector<int>& allowed, int k);
LayerSet random_layers(const std::vector<int>& allowed, int k, uint64_t seed, int draw);

}  // namespace jet
