// Which layers keep full attention, and which get a sliding window: the heat map, the beam, and what it is compared
// with, all over one score: a path's accuracy on a task's items, ties broken by the answers' loss.
#pragma once

#include <cmath>
#include <functional>
#include <optional>
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
    std::optional<int64_t> items;  // the first ones, where it was not asked on all (halving.h)
    template <class V>
    static void fields(Candidate& c, V&& v) {
      v("layers", c.layers), v("score", c.score), v("loss", c.loss), v("kept", c.kept), v("items", c.items);
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
/// On the items up to a round's (halving.h); the rounds before it have been asked of the set.
using ScoreRound = std::function<Score(const LayerSet& layers, int round)>;
/// Where sets are scored by rounds of the items: how many items each of them ends with, and what answers it.
struct ScoreRounds {
  std::vector<int64_t> ends{};
  ScoreRound score{};
  int count() const { return score ? static_cast<int>(std::ssize(ends)) : 1; }
  /// A set's figures on the items up to a round's.
  BeamDepth::Candidate candidate(const LayerSet& layers, const Score& score, int round, bool kept) const;
};

struct Selection {
  LayerSet layers;
  Score score;
  int evaluations = 0;
  std::string note;  // why the search ended early, where it did
  std::vector<BeamDepth> trace;
};

/// Told after every evaluation, of a function that gives the trace with the depth at work.
using BeamSoFar = std::function<void(const std::function<std::vector<BeamDepth>()>& trace)>;

enum class BeamFrom : char {
  none,  // bottom up: no layer is full, and one after the other becomes it
  all,   // top down: all are, and one after the other becomes linear
};

struct LayerBeamOptions {
  int width = 3;
  int budget = 0;            // evaluations; 0: no limit
  double enough = INFINITY;  // an accuracy that ends the search: a set smaller than k has reached it
  BeamFrom from = BeamFrom::none;
  double step = 0;  // share of the layers still to move that moves at once (below); always one at least
  BeamSoFar so_far{};
  ScoreRounds rounds{};  // where a depth is asked by successive halving
};

/// The best `k` of `allowed`, by moving one layer after the other into the set (bottom up) or out of it (top down): in
/// every set of the beam every layer is moved, the best `width` stay; of equal scores, the set that is first in
/// lexicographic order. Where r layers are to move at once, a set's layers are moved one at a time to rank them, then
/// the r best together, and the r - 1 best with each of the next `width` - 1: two depths of the trace. Where the budget
/// ends before the last depth, the best set so far is completed by the order of the first depth.
Selection beam_search(const std::vector<int>& allowed, int k, const LayerBeamOptions& options,
                      const ScoreLayers& score);
/// How many sets beam_search looks at, at most, without a budget, to move `moves` layers: k bottom up, allowed - k top
/// down. Exact for width 1.
int64_t beam_evaluations(int64_t allowed, int64_t moves, int64_t width, double step = 0);
/// The same by depth: how many sets it asks about, and how many of the best it needs (halving.h).
struct AskedDepth {
  int64_t sets = 0, wanted = 0;
};
std::vector<AskedDepth> beam_depths(int64_t allowed, int64_t moves, int64_t width, double step = 0);
/// How many of the `left` layers that are still to move do so at once.
int64_t beam_stride(int64_t left, double step);
/// `start` made better by exchanging a layer of it for one of `allowed` as long as the score rises: until no exchange
/// makes it better, or for `budget` evaluations (0: no limit). Every round scores the set without each of its layers
/// and with each of the others, and tries the exchanges in the order of these two scores' sum; the first that is better
/// is made. The trace has a depth a round: the exchanges that it tried, the one made kept. Where the score comes by
/// rounds of the items, an exchange is given up after the first of them that does not find it better.
Selection swap_search(const std::vector<int>& allowed, const LayerSet& start, int budget, const ScoreLayers& score,
                      const BeamSoFar& so_far = {}, const ScoreRounds& rounds = {});
/// Evaluations of swap_search's last round, in which it finds that no exchange makes the set better.
int64_t swap_evaluations(int64_t allowed, int64_t k);
/// All sets of k layers; `rank` is given a score and says how many sets are better.
struct Exhaustive {
  Selection best;
  std::vector<Score> all;
  int rank(const Score& s) const;
};
Exhaustive exhaustive_search(const std::vector<int>& allowed, int k, const ScoreLayers& score);

/// 0 .. n - 1.
std::vector<int> all_layers(int n);
/// `allowed` without `taken`.
std::vector<int> other_layers(std::vector<int> allowed, const LayerSet& taken);
/// k of `allowed`, evenly spaced: the middle of each of k equal parts.
LayerSet uniform_layers(const std::vector<int>& allowed, int k);
LayerSet random_layers(const std::vector<int>& allowed, int k, uint64_t seed, int draw);

}  // namespace jet
