#include "jet/search/placement.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "jet/search/recipe.h"

namespace jet {
namespace {

// Layers have values; a pair may have a bonus that growing one layer at a time cannot see.
ScoreLayers values(std::vector<double> v, LayerSet pair = {}, double bonus = 0) {
  return [=](const LayerSet& s) {
    double sum = s == pair ? bonus : 0;
    for (int i : s) sum += v[i];
    return Score{sum, -sum};
  };
}

TEST(Placement, BeamFindsAdditiveOptimum) {
  const auto score = values({1, 5, 2, 4, 3});
  const Selection s = beam_search({0, 1, 2, 3, 4}, 2, {.width = 1}, score);
  EXPECT_EQ(s.layers, (LayerSet{1, 3}));
  EXPECT_EQ(s.evaluations, 5 + 4);
  EXPECT_EQ(s.trace.size(), 2u);
}

TEST(Placement, WiderBeamFindsWhatGreedyMisses) {
  const auto score = values({1, 5, 2, 4, 3}, {0, 4}, 100);
  EXPECT_EQ(beam_search({0, 1, 2, 3, 4}, 2, {.width = 1}, score).layers, (LayerSet{1, 3}));
  EXPECT_EQ(beam_search({0, 1, 2, 3, 4}, 2, {.width = 5}, score).layers, (LayerSet{0, 4}));
}

TEST(Placement, BeamStopsWhereAFewLayersAreEnough) {
  const auto score = values({1, 5, 2, 4, 3});
  const Selection s = beam_search({0, 1, 2, 3, 4}, 3, {.width = 2, .enough = 9}, score);
  EXPECT_EQ(s.layers, (LayerSet{1, 3}));
  EXPECT_FALSE(s.note.empty());
}

TEST(Placement, BeamFillsUpWhenItsBudgetIsSpent) {
  const auto score = values({1, 5, 2, 4, 3});
  for (int budget : {1, 3, 5, 6, 9}) {
    const Selection s = beam_search({0, 1, 2, 3, 4}, 3, {.width = 1, .budget = budget}, score);
    EXPECT_LE(s.evaluations, budget);
    EXPECT_EQ(s.layers.size(), 3u) << budget;
  }
  EXPECT_EQ(beam_search({0, 1, 2, 3, 4}, 3, {.width = 1, .budget = 5}, score).layers, (LayerSet{1, 3, 4}));
}

// Worth of n layers, none like another.
std::vector<double> worths(int n) {
  std::vector<double> v(n);
  for (int i = 0; i < n; ++i) v[i] = (i * 7 + 3) % n + 0.01 * i;
  return v;
}

TEST(Placement, TopDownFindsTheSetThatIsMissedMost) {
  const auto v = worths(30);
  std::vector<int> order = all_layers(30);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return v[a] > v[b]; });
  const LayerSet best(order.begin(), order.begin() + 8);
  for (const double step : {0.0, 0.3, 0.5, 1.0}) {
    for (const int width : {1, 3}) {
      const Selection s =
          beam_search(all_layers(30), 8, {.width = width, .from = BeamFrom::all, .step = step}, values(v));
      EXPECT_EQ(s.layers, best) << step;
      const int64_t most = beam_evaluations(30, 22, width, step);
      EXPECT_LE(s.evaluations, most) << step;
      if (width == 1) { EXPECT_EQ(s.evaluations, most) << step; }
      EXPECT_EQ(s.trace.back().candidates[0].layers, best);
      EXPECT_EQ(s.trace.front().candidates[0].layers.size(), 29u);
    }
  }
  EXPECT_EQ(beam_evaluations(30, 22, 1), (30 + 9) * 22 / 2);
  // 11, 5, 3, 1, 1 and 1 of 30 move, those of the first three depths once more together.
  EXPECT_EQ(beam_evaluations(30, 22, 1, 0.5), 30 + 1 + 19 + 1 + 14 + 1 + 11 + 10 + 9);
}

// Of two layers either one will do: bottom up the second adds nothing, top down the first is not missed.
TEST(Placement, TopDownKeepsOneOfTwoThatDoTheSameWork) {
  const ScoreLayers score = [](const LayerSet& s) {
    const double either = s.count(1) + s.count(4) > 0 ? 10 : 0, pair = s.count(0) + s.count(3) == 2 ? 20 : 0;
    return Score{either + pair + 0.1 * static_cast<double>(s.count(2)), 0};
  };
  EXPECT_EQ(beam_search(all_layers(6), 3, {.width = 1, .from = BeamFrom::all}, score).layers, (LayerSet{0, 1, 3}));
  EXPECT_EQ(beam_search(all_layers(6), 3, {.width = 1}, score).layers, (LayerSet{0, 1, 2})) << "pairs are not seen";
}

TEST(Placement, TopDownIsCompletedWhenItsBudgetIsSpent) {
  for (const double step : {0.0, 0.5}) {
    for (int budget = 1; budget < 60; ++budget) {
      const Selection s = beam_search(
          all_layers(12), 3, {.width = 2, .budget = budget, .from = BeamFrom::all, .step = step}, values(worths(12)));
      EXPECT_LE(s.evaluations, budget);
      EXPECT_EQ(s.layers.size(), 3u) << budget;
    }
  }
}

TEST(Placement, SwapsEndWhereNoExchangeIsBetter) {
  const auto score = values(worths(12), {0, 4, 7}, 5);
  const Selection s = swap_search(all_layers(12), {0, 1, 2}, 0, score);
  for (const int gone : s.layers) {
    for (const int come : other_layers(all_layers(12), s.layers)) {
      LayerSet other = s.layers;
      other.erase(gone), other.insert(come);
      EXPECT_FALSE(s.score < score(other));
    }
  }
  EXPECT_EQ(s.layers.size(), 3u);
  EXPECT_EQ(s.score.accuracy, score(s.layers).accuracy);
  EXPECT_EQ(swap_search(all_layers(12), s.layers, 0, score).evaluations, 1 + swap_evaluations(12, 3));
  for (int budget = 1; budget < 40; ++budget) {
    const Selection some = swap_search(all_layers(12), {0, 1, 2}, budget, score);
    EXPECT_LE(some.evaluations, budget);
    EXPECT_FALSE(some.score < score({0, 1, 2})) << "never worse";
  }
}

TEST(Placement, ExhaustiveSeesEverySetAndRanks) {
  const auto score = values({1, 5, 2, 4, 3}, {0, 4}, 100);
  const Exhaustive e = exhaustive_search({0, 1, 2, 3, 4}, 2, score);
  EXPECT_EQ(e.best.layers, (LayerSet{0, 4}));
  EXPECT_EQ(e.all.size(), 10u);
  EXPECT_EQ(e.rank(score({0, 4})), 1);
  EXPECT_EQ(e.rank(score({1, 3})), 2);
  EXPECT_EQ(e.rank(score({0, 2})), 10);
}

TEST(Placement, TiesAreBrokenByLoss) {
  EXPECT_TRUE((Score{0.5, 2.0} < Score{0.5, 1.0}));
  EXPECT_TRUE((Score{0.4, 1.0} < Score{0.5, 2.0}));
}

TEST(Placement, Baselines) {
  EXPECT_EQ(uniform_layers({0, 1, 2, 3, 4, 5, 6, 7}, 2), (LayerSet{2, 6}));
  EXPECT_EQ(random_layers({0, 1, 2, 3}, 2, 1, 0), random_layers({0, 1, 2, 3}, 2, 1, 0));
  EXPECT_EQ(random_layers({0, 1, 2, 3}, 2, 1, 0).size(), 2u);
}

TEST(Recipes, AllOfTheProjectAreRead) {
  for (const char* name : {"smoke", "demo", "full", "pretrain"}) {
    EXPECT_NO_THROW(read_recipe(std::string("recipes/") + name + ".toml")) << name;
  }
}

}  // namespace
}  // namespace jet
