#include "jet/search/placement.h"

#include <gtest/gtest.h>

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
    EXPECT_EQ(s.layers.size(), std::min<size_t>(3, static_cast<size_t>(budget))) << budget;
  }
  EXPECT_EQ(beam_search({0, 1, 2, 3, 4}, 3, {.width = 1, .budget = 5}, score).layers, (LayerSet{1, 3, 4}));
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
