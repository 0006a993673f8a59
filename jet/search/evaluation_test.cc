// What a damaged or diverged model says is no score.
#include <gtest/gtest.h>

#include <filesystem>

#include "jet/search/candidate_rows.h"
#include "jet/search/student.h"

namespace jet {
namespace {

const char* const kRecipe = R"(
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

class Evaluation : public testing::Test {
 protected:
  Evaluation() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    write_file(folder_ + "/recipe.toml", kRecipe);
  }
  ~Evaluation() override { std::filesystem::remove_all(folder_); }
  std::string folder_ = testing::TempDir() + "jet_evaluation";
};

TEST_F(Evaluation, OfDamagedWeightsIsRefused) {
  jet::Run run("models/base", folder_ + "/recipe.toml", folder_ + "/run");
  EXPECT_GT(run.evaluate(run.tasks, run.base).at("loss").get<double>(), 0);
  for (auto& [name, t] : run.base.parameters())
    if (name == "model.norm.weight") t.fill_(NAN);
  EXPECT_THROW(run.evaluate(run.tasks, run.base), Error);
  EXPECT_THROW(run.evaluate({}, run.base), Error);
  EXPECT_THROW(run.base.save(folder_ + "/model", "models/base", DType::bf16), Error);
  EXPECT_FALSE(file_exists(folder_ + "/model/config.json"));
}

TEST_F(Evaluation, OfACandidateThatDivergedIsLeftOut) {
  jet::Run run("models/base", folder_ + "/recipe.toml", folder_ + "/run");
  auto layers = run.base.spec.layers;
  layers[3] = make_mixer("gated_delta_net", attention_of(run.base.spec, 3));
  const Json j = train_candidate(run, {.name = "wild", .layers = layers, .lr = 1e20, .speed = false});
  ASSERT_TRUE(j.at("diverged").get<bool>());
  const Json row = row_of(j);
  EXPECT_TRUE(row.at("loss").is_null() && row.at("accuracy").empty());
  EXPECT_EQ(loss_of(row), INFINITY);
  EXPECT_TRUE(better_row({{"loss", 9.0}, {"accuracy", Json::object()}}, row));
}

}  // namespace
}  // namespace jet
