// Many sets of layers, of which a few are wanted, asked by successive halving: all of them on the first few items, the
// better half on twice as many, and so on, those that are left on all.
//
//   round    items           sets
//   1        first 8         all
//   2        first 16        the better half
//   3        all 32          the better half of these: they come first, by their scores on all items
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "jet/search/placement.h"

namespace jet {

/// The items that the rounds end with, of `all`: first, 2 first, 4 first, ..., all. first 0: one round.
std::vector<int64_t> round_ends(int64_t first, int64_t all);
/// How many of `sets` each of the rounds asks, where `keep` are wanted.
std::vector<int64_t> asked_by_round(int64_t sets, int64_t rounds, int64_t keep);

/// A set's score in the last round that asked it.
struct AskedSet {
  LayerSet layers;
  Score score;
  int round = 0;
};

/// The best first: later rounds before earlier ones, then by score, of equals the first in lexicographic order. That
/// is the order in which sets are asked: neighbours have most layers in common. `told` after every answer.
std::vector<AskedSet> ask_by_halves(const std::set<LayerSet>& sets, int rounds, int64_t keep, const ScoreRound& score,
                                    const std::function<void(const std::vector<AskedSet>&)>& told = {});

}  // namespace jet
