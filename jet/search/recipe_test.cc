#include "jet/search/recipe.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace jet {
namespace {

TEST(Recipe, EveryRecipeThatWeShipIsUnderstood) {
  int n = 0;
  for (const auto& file : std::filesystem::directory_iterator("recipes")) {
    if (file.path().extension() != ".toml") continue;
    EXPECT_NO_THROW(read_recipe(file.path().string())) << file.path();
    ++n;
  }
  EXPECT_GE(n, 6);
}

TEST(Recipe, TheLargeOneHasThePapersBudget) {
  const Recipe r = read_recipe("recipes/qwen2.5-1.5b.toml");
  EXPECT_EQ(r.distill.stage1.train.tokens, 50'000'000'000);
  EXPECT_EQ(r.distill.stage2.train.tokens, 350'000'000'000);
  EXPECT_EQ(r.supernet.budget.align.tokens + r.supernet.budget.distill.train.tokens, 10'000'000'000);
  EXPECT_EQ(r.dimensions.candidates.front(), (std::vector<int>{12, 96, 256}));
}

}  // namespace
}  // namespace jet
