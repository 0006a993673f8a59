#include "jet/search/recipe.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/file.h"

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

TEST(Recipe, AnIncludedFileSaysWhatThisOneDoesNot) {
  const std::string folder = ::testing::TempDir() + "/recipe_include";
  std::filesystem::create_directories(folder + "/shared");
  const auto put = [&](const std::string& name, const std::string& text) { write_file(folder + "/" + name, text); };
  put("shared/common.toml",
      "seed = 3\n[supernet]\nwidth = 2\nbranch = 'gla'\n[[data]]\nname = 'a'\n[[data]]\nname = 'b'\n");
  put("r.toml", "include = 'shared/common.toml'\nseed = 4\n[supernet]\nwidth = 8\n");
  const Json joined = read_toml(folder + "/r.toml");
  EXPECT_EQ(joined.dump(), R"({"data":[{"name":"a"},{"name":"b"}],"seed":4,"supernet":{"branch":"gla","width":8}})");
  put("r.toml", "include = 'shared/common.toml'\n[[data]]\nname = 'c'\n");
  EXPECT_EQ(read_toml(folder + "/r.toml").at("data").size(), 1U);

  const auto refused = [&](const std::string& text, const std::string& why) {
    put("r.toml", text);
    try {
      read_toml(folder + "/r.toml");
      ADD_FAILURE() << "not refused: " << text;
    } catch (const Error& e) { EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what(); }
  };
  refused("include = ['shared/common.toml']", "include");
  refused("include = 'none.toml'", "none.toml");
  refused("include = 'r.toml'", "r.toml");
}

}  // namespace
}  // namespace jet
