#include "jet/search/halving.h"

#include <gtest/gtest.h>

#include <map>

namespace jet {
namespace {

std::set<LayerSet> singles(int n) {
  std::set<LayerSet> out;
  for (int i = 0; i < n; ++i) out.insert({i});
  return out;
}

TEST(Halving, RoundsDoubleUpToAllItems) {
  EXPECT_EQ(round_ends(8, 32), (std::vector<int64_t>{8, 16, 32}));
  EXPECT_EQ(round_ends(10, 32), (std::vector<int64_t>{10, 20, 32}));
  EXPECT_EQ(round_ends(0, 32), (std::vector<int64_t>{32}));
  EXPECT_EQ(round_ends(40, 32), (std::vector<int64_t>{32}));
  EXPECT_EQ(asked_by_round(27, 3, 2), (std::vector<int64_t>{27, 14, 7}));
  EXPECT_EQ(asked_by_round(5, 3, 4), (std::vector<int64_t>{5, 4, 4}));
  EXPECT_EQ(asked_by_round(2, 2, 3), (std::vector<int64_t>{2, 2}));
}

// A layer's number is its worth; the first round sees it with an error.
TEST(Halving, TheBetterHalfGoesOn) {
  std::map<int, int> asked;  // by round
  const auto score = [&](const LayerSet& s, int round) {
    ++asked[round];
    const int layer = *s.begin();
    return Score{static_cast<double>(round == 0 && layer == 9 ? 6 : layer), 0};
  };
  const auto out = ask_by_halves(singles(10), 3, 2, score);
  EXPECT_EQ(asked, (std::map<int, int>{{0, 10}, {1, 5}, {2, 3}}));
  ASSERT_EQ(out.size(), 10U);
  const std::vector<int> order = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, rounds = {2, 2, 2, 1, 1, 0, 0, 0, 0, 0};
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(*out[i].layers.begin(), order[i]) << i;
    EXPECT_EQ(out[i].round, rounds[i]) << i;
  }
}

TEST(Halving, EqualSetsAreInTheirOrderAndOneRoundAsksAll) {
  std::vector<size_t> told;
  const auto out = ask_by_halves(
      singles(5), 1, 1,
      [](const LayerSet&, int) {
        return Score{0.5, 1};
      },
      [&](const std::vector<AskedSet>& so_far) { told.push_back(so_far.size()); });
  EXPECT_EQ(told, (std::vector<size_t>{1, 2, 3, 4, 5}));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(out[i].layers, LayerSet{i});
}

TEST(Halving, ABeamsTraceSaysWhoWasAskedWhat) {
  const auto value = [](const LayerSet& s) {
    double sum = 0;
    for (const int i : s) sum += i;
    return Score{sum, -sum};
  };
  const LayerBeamOptions halved{.width = 1, .rounds = {{2, 4, 8}, [&](const LayerSet& s, int) { return value(s); }}};
  const Selection s = beam_search(all_layers(6), 2, halved, value);
  EXPECT_EQ(s.layers, (LayerSet{4, 5}));
  EXPECT_EQ(s.evaluations, 6 + 5);
  ASSERT_EQ(s.trace.size(), 2U);
  const auto& first = s.trace[0].candidates;
  ASSERT_EQ(first.size(), 6U);
  EXPECT_TRUE(first[0].kept && !first[0].items && !first[1].items);
  EXPECT_EQ(first[2].items, 4);
  EXPECT_EQ(first[5].items, 2);
}

// Layers have values of which the first round, where it errs, sees only half.
struct ErringRounds {
  Score of(const LayerSet& s, int round) const {
    double sum = 0;
    for (const int i : s) sum += round == 0 && errs && i % 2 > 0 ? 0.5 * v[i] : v[i];
    return Score{sum, -sum};
  }
  ScoreRounds rounds() {
    return {{2, 4, 8}, [this](const LayerSet& s, int round) {
              EXPECT_EQ(seen[s], round) << "rounds come one after the other";
              ++seen[s], ++asked[round];
              return of(s, round);
            }};
  }
  ScoreLayers whole() {
    return [this](const LayerSet& s) { return of(s, 2); };
  }
  std::vector<double> v;
  bool errs = false;
  std::map<LayerSet, int> seen{};
  std::map<int, int64_t> asked{};  // by round
};

std::vector<double> round_worths(int n) {
  std::vector<double> v(n);
  for (int i = 0; i < n; ++i) v[i] = (i * 7 + 3) % n + 0.01 * i;
  return v;
}

TEST(Halving, BothWaysOfABeamAskFewerAndAsManyAsPlanned) {
  for (const BeamFrom from : {BeamFrom::none, BeamFrom::all}) {
    for (const double step : {0.0, 0.5}) {
      ErringRounds r{round_worths(20)};
      LayerBeamOptions o{.width = 1, .from = from, .step = step};
      const Selection whole = beam_search(all_layers(20), 6, o, r.whole());
      o.rounds = r.rounds();
      const Selection s = beam_search(all_layers(20), 6, o, {});
      EXPECT_EQ(s.layers, whole.layers) << step;
      EXPECT_EQ(s.evaluations, whole.evaluations);
      EXPECT_EQ(s.score.accuracy, whole.score.accuracy);
      std::map<int, int64_t> planned;
      for (const AskedDepth& d : beam_depths(20, from == BeamFrom::all ? 14 : 6, 1, step)) {
        const auto its = asked_by_round(d.sets, 3, d.wanted);
        for (int i = 0; i < 3; ++i) planned[i] += its[i];
      }
      EXPECT_EQ(r.asked, planned) << step;
      EXPECT_LT(r.asked[2], r.asked[0] * 2 / 3);
      for (const BeamDepth& d : s.trace)
        for (const auto& c : d.candidates) EXPECT_FALSE(c.kept && c.items) << "what goes on was asked on all items";
    }
  }
}

TEST(Halving, ABudgetCountsSets) {
  for (int budget = 1; budget < 50; ++budget) {
    ErringRounds r{round_worths(12)};
    const LayerBeamOptions o{
        .width = 2, .budget = budget, .from = BeamFrom::all, .step = 0.5, .so_far = {}, .rounds = r.rounds()};
    const Selection s = beam_search(all_layers(12), 3, o, {});
    EXPECT_LE(s.evaluations, budget);
    EXPECT_EQ(r.asked[0], s.evaluations);
    EXPECT_EQ(s.layers.size(), 3U);
  }
}

TEST(Halving, SwapsGiveUpEarly) {
  ErringRounds r{round_worths(12), true};
  ScoreRounds rounds = r.rounds();
  rounds.score = [&](const LayerSet& s, int round) { return ++r.asked[round], r.of(s, round); };
  const Selection s = swap_search(all_layers(12), {0, 1, 2}, 0, {}, {}, rounds);
  EXPECT_EQ(r.asked[0], s.evaluations);
  EXPECT_LT(r.asked[1], r.asked[0]);
  EXPECT_FALSE(r.of(s.layers, 2) < r.of({0, 1, 2}, 2)) << "never worse";
  EXPECT_EQ(s.score.accuracy, r.of(s.layers, 2).accuracy);
  int64_t given_up = 0;
  for (const BeamDepth& d : s.trace)
    for (const auto& c : d.candidates) {
      EXPECT_FALSE(c.kept && c.items);
      given_up += c.items ? 1 : 0;
    }
  EXPECT_EQ(given_up, r.asked[0] - r.asked[2]);
  // Without an error in the rounds it is the same search.
  r.errs = false, r.asked.clear();
  const Selection right = swap_search(all_layers(12), {0, 1, 2}, 0, {}, {}, rounds);
  const Selection whole = swap_search(all_layers(12), {0, 1, 2}, 0, r.whole());
  EXPECT_EQ(right.layers, whole.layers);
  EXPECT_EQ(right.evaluations, whole.evaluations);
}

}  // namespace
}  // namespace jet
