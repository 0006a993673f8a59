#include "jet/search/path_sampling.h"

#include <gtest/gtest.h>

#include <map>

#include "jet/base/rng.h"

namespace jet {
namespace {

std::map<size_t, int> sizes(const std::string& sampling, int layers, int k, int steps) {
  std::map<size_t, int> out;
  for (int step = 0; step < steps; ++step) ++out[sampled_layers(sampling, all_layers(layers), k, 1, step).size()];
  return out;
}

TEST(PathSampling, AStepsPathIsAFunctionOfSeedAndStep) {
  for (const auto& s : path_samplings()) {
    EXPECT_EQ(sampled_layers(s, all_layers(30), 8, 3, 17), sampled_layers(s, all_layers(30), 8, 3, 17)) << s;
    std::set<LayerSet> seen;
    for (int step = 0; step < 40; ++step) {
      const LayerSet full = sampled_layers(s, all_layers(30), 8, 3, step);
      for (const int l : full) EXPECT_TRUE(0 <= l && l < 30) << s;
      seen.insert(full);
    }
    EXPECT_GT(seen.size(), 20u) << s;
  }
}

TEST(PathSampling, UniformHasTheExtremesAndEveryNumberBetween) {
  const auto n = sizes("uniform", 8, 2, 800);
  EXPECT_GE(n.at(0), 100) << "every eighth step has no full layer";
  EXPECT_GE(n.at(7), 100) << "and another all but one";
  for (size_t full = 0; full < 8; ++full) EXPECT_GT(n.at(full), 40) << full;
  EXPECT_EQ(n.count(8), 0u) << "with all layers full nothing is trained";
  EXPECT_EQ(sampled_layers("uniform", all_layers(8), 2, 5, 16).size(), 0u);
  EXPECT_EQ(sampled_layers("uniform", all_layers(8), 2, 5, 20).size(), 7u);
}

TEST(PathSampling, BudgetStaysAroundTheNumberAskedFor) {
  const auto n = sizes("budget", 30, 8, 500);
  EXPECT_EQ(n.begin()->first, 4u);
  EXPECT_EQ(n.rbegin()->first, 12u);
  EXPECT_EQ(n.size(), 9u);
  EXPECT_EQ(sizes("budget", 4, 4, 100).rbegin()->first, 3u);
  EXPECT_EQ(sizes("budget", 4, 0, 100).begin()->first, 0u);
}

// As they were before there was a choice: checkpoints and published figures stand on them.
TEST(PathSampling, HalfIsWhatItWas) {
  for (int step = 0; step < 50; ++step) {
    Rng rng(7, "path " + std::to_string(step));
    LayerSet full;
    for (auto n = rng.below(8 / 2 + 1); n > 0; --n) full.insert(static_cast<int>(rng.below(8)));
    EXPECT_EQ(sampled_layers("half", all_layers(8), 2, 7, step), full);
  }
}

}  // namespace
}  // namespace jet
