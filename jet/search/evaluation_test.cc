// What a damaged or diverged model says is no score.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "jet/search/candidates.h"
#include "jet/search/run.h"

namespace jet {
namespace {

const char* const kEvaluationRecipe = R"(
held_out_tokens = 512
precision = "fp32"
[[data]]
name = "skills"
path = "data/train/skills.txt"
[eval]
items = 1
search_items = 1
held_out_rows = 1
held_out_length = 64
[blocks.budget]
align = {tokens = 1024, batch = 1, length = 64, warmup = 0}
distill = {train = {tokens = 64, batch = 1, length = 64}}
)";

class EvaluationTest : public testing::Test {
 protected:
  EvaluationTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    write_file(folder_ + "/recipe.toml", kEvaluationRecipe);
  }
  ~EvaluationTest() override { std::filesystem::remove_all(folder_); }
  std::string folder_ = testing::TempDir() + "jet_evaluation";
};

TEST_F(EvaluationTest, OfDamagedWeightsIsRefused) {
  jet::Run run({.recipe = folder_ + "/recipe.toml", .out = folder_ + "/run", .base = "models/base"});
  TorchModel& base = run.teacher.model;
  EXPECT_GT(run.evaluator.evaluate(base).loss, 0);
  for (auto& [name, t] : base.parameters())
    if (name == "model.norm.weight") t.fill_(NAN);
  EXPECT_THROW(run.evaluator.evaluate(base), Error);
  EXPECT_THROW(base.save(folder_ + "/model", "models/base", DType::bf16), Error);
  EXPECT_FALSE(file_exists(folder_ + "/model/config.json"));
}

TEST_F(EvaluationTest, OfACandidateThatDivergedIsLeftOut) {
  jet::Run run({.recipe = folder_ + "/recipe.toml", .out = folder_ + "/run", .base = "models/base"});
  auto layers = run.teacher.spec().layers;
  layers[3] = make_mixer("gated_delta_net", attention_of(run.teacher.spec(), 3));
  const Candidate wild{.name = "wild", .layers = layers, .lr = 1e20, .speed = false};
  ASSERT_TRUE(train_candidate(run, wild).diverged);
  const Row row = candidate_row(run, wild);
  EXPECT_TRUE(row.is_diverged());
  EXPECT_TRUE(std::isnan(row.loss) && row.accuracy.size() == 0);
  Row sound;
  sound.loss = 9;
  EXPECT_TRUE(better_row(sound, row));
}

/// A recipe that names no objective goes by what the tasks say of themselves.
TEST_F(EvaluationTest, ObjectivesAreTheTasksOwnWhereTheRecipeHasNone) {
  const jet::Run run({.recipe = folder_ + "/recipe.toml", .out = folder_ + "/run", .base = "models/base"});
  ASSERT_EQ(run.recipe.placement.full_objective.size(), 1u);
  EXPECT_EQ(run.recipe.placement.full_objective[0].task, "recall");
  ASSERT_EQ(run.recipe.placement.swa_objective.size(), 1u);
  EXPECT_EQ(run.recipe.placement.swa_objective[0].task, "mcq");
}

}  // namespace
}  // namespace jet
