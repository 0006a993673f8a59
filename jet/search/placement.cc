#include "jet/search/placement.h"

#include <algorithm>
#include <numeric>

#include "jet/base/rng.h"
#include "jet/search/halving.h"

namespace jet {

namespace {

BeamDepth trace_of(int depth, const std::vector<AskedSet>& candidates, int64_t kept, const ScoreRounds& rounds) {
  BeamDepth out{depth, {}};
  for (int64_t i = 0; i < std::ssize(candidates); ++i) {
    const auto& [layers, score, round] = candidates[i];
    out.candidates.push_back(rounds.candidate(layers, score, round, i < kept));
  }
  return out;
}

// How many of the single moves of `sets` sets a depth needs: the next beam, or what is to move together.
int64_t wanted_of(int64_t stride, int64_t width, int64_t sets) {
  return stride > 1 ? sets * (stride - 1 + width) : width;
}

class Beam {
 public:
  Beam(const std::vector<int>& allowed, int k, const LayerBeamOptions& options, const ScoreLayers& score)
      : o_(options), score_(score), allowed_(allowed), down_(options.from == BeamFrom::all), k_(k) {
    if (down_) out_.layers = LayerSet(allowed.begin(), allowed.end());
    sets_ = {out_.layers};
  }

  Selection search() {
    while (left() > 0 && !spent_) {
      const int64_t stride = beam_stride(left(), o_.step);
      score_all(moved_once(), wanted_of(stride, o_.width, std::ssize(sets_)));
      if (scored_.empty()) break;
      if (order_.empty()) order_ = order_of(sets_.front());  // of the first depth
      if (stride > 1 && !spent_) {
        const auto together = moved_together(stride);
        end_depth(stride);
        score_all(together, o_.width);
        if (scored_.empty()) break;
      }
      take_best();
      if (out_.score.accuracy >= o_.enough && std::ssize(out_.layers) < k_) {
        out_.note = fmt::format("{} layers are enough", out_.layers.size());
        return out_;
      }
    }
    complete();
    return out_;
  }

 private:
  int64_t left() const { return std::abs(k_ - std::ssize(out_.layers)); }

  // False where the layer stands where it would be moved to.
  bool move(LayerSet& set, int layer) const { return down_ ? set.erase(layer) > 0 : set.insert(layer).second; }

  std::vector<LayerSet> moved_once() const {
    std::vector<LayerSet> out;
    for (const LayerSet& set : sets_) {
      for (int layer : allowed_) {
        LayerSet next = set;
        if (move(next, layer)) out.push_back(next);
      }
    }
    return out;
  }

  // Layers of a set whose moves are scored, the best move first.
  std::vector<int> order_of(const LayerSet& set) const {
    std::vector<int> order;
    for (const AskedSet& s : scored_) {
      for (int layer : allowed_) {
        LayerSet moved = set;
        if (move(moved, layer) && moved == s.layers) order.push_back(layer);
      }
    }
    return order;
  }

  std::vector<LayerSet> moved_together(int64_t stride) const {
    std::vector<LayerSet> out;
    for (const LayerSet& set : sets_) {
      const auto order = order_of(set);
      for (int64_t last = stride - 1; last < std::min<int64_t>(stride - 1 + o_.width, std::ssize(order)); ++last) {
        LayerSet next = set;
        for (int64_t i = 0; i < stride - 1; ++i) move(next, order[i]);
        move(next, order[last]);
        out.push_back(next);
      }
    }
    return out;
  }

  // Each set once, as many as the budget allows, into scored_; `wanted` of the best are needed.
  void score_all(const std::vector<LayerSet>& sets, int64_t wanted) {
    scored_.clear();
    std::set<LayerSet> asked;
    for (const LayerSet& set : sets) {
      if (asked.count(set) > 0) continue;
      spent_ = o_.budget > 0 && out_.evaluations >= o_.budget;
      if (spent_) break;
      asked.insert(set);
      ++out_.evaluations;
    }
    const ScoreRound score = [&](const LayerSet& s, int round) {
      return o_.rounds.score ? o_.rounds.score(s, round) : score_(s);
    };
    scored_ = ask_by_halves(asked, o_.rounds.count(), wanted, score, [this](const std::vector<AskedSet>& so_far) {
      if (o_.so_far) o_.so_far([&] { return trace_so_far(so_far); });
    });
  }

  std::vector<BeamDepth> trace_so_far(const std::vector<AskedSet>& so_far) const {
    std::vector<BeamDepth> all = out_.trace;
    all.push_back(trace_of(static_cast<int>(all.size()) + 1, so_far, o_.width, o_.rounds));
    return all;
  }

  void end_depth(int64_t kept) {
    out_.trace.push_back(trace_of(static_cast<int>(std::ssize(out_.trace)) + 1, scored_, kept, o_.rounds));
  }

  void take_best() {
    end_depth(o_.width);
    sets_.clear();
    for (const AskedSet& s : scored_)
      if (std::ssize(sets_) < o_.width) sets_.push_back(s.layers);
    out_.layers = scored_.front().layers, out_.score = scored_.front().score;
  }

  // Where the budget ended the search: by the first depth, then those that it did not come to.
  void complete() {
    if (left() > 0) out_.note = fmt::format("completed by the first depth after {} evaluations", out_.evaluations);
    for (const std::vector<int>* order : {&std::as_const(order_), &allowed_})
      for (size_t i = 0; i < order->size() && left() > 0; ++i) move(out_.layers, (*order)[i]);
  }

  const LayerBeamOptions& o_;
  const ScoreLayers& score_;
  const std::vector<int>& allowed_;
  const bool down_;
  const int64_t k_;
  std::vector<LayerSet> sets_;    // the beam
  std::vector<AskedSet> scored_;  // the depth at work, the best first
  std::vector<int> order_;        // by the first depth, the best move first
  bool spent_ = false;
  Selection out_;
};

}  // namespace

BeamDepth::Candidate ScoreRounds::candidate(const LayerSet& layers, const Score& its, int round, bool kept) const {
  const bool some = round + 1 < count();
  return {layers, its.accuracy, its.nll, kept, some ? std::optional(ends[round]) : std::nullopt};
}

Selection beam_search(const std::vector<int>& allowed, int k, const LayerBeamOptions& o, const ScoreLayers& score) {
  return Beam(allowed, k, o, score).search();
}

int64_t beam_stride(int64_t left, double step) {
  return std::max<int64_t>(1, static_cast<int64_t>(step * static_cast<double>(left)));
}

std::vector<AskedDepth> beam_depths(int64_t allowed, int64_t moves, int64_t width, double step) {
  std::vector<AskedDepth> out;
  int64_t sets = 1;  // in the beam
  while (moves > 0) {
    const int64_t stride = beam_stride(moves, step), together = std::min(width, allowed - stride + 1);
    out.push_back({sets * allowed, wanted_of(stride, width, sets)});
    if (stride > 1) out.push_back({sets * together, width});
    sets = std::min(width, sets * (stride > 1 ? together : allowed));
    allowed -= stride, moves -= stride;
  }
  return out;
}

int64_t beam_evaluations(int64_t allowed, int64_t moves, int64_t width, double step) {
  int64_t sum = 0;
  for (const AskedDepth& d : beam_depths(allowed, moves, width, step)) sum += d.sets;
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

std::vector<int> other_layers(std::vector<int> allowed, const LayerSet& taken) {
  std::erase_if(allowed, [&](int i) { return taken.count(i) > 0; });
  return allowed;
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
