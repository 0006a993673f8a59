#include "jet/search/selectors/objective.h"

#include <gtest/gtest.h>

namespace jet {
namespace {

Json figures(const std::string& task) {
  if (task == "kv") return {{"accuracy", 0.25}, {"nll", 2.0}};
  if (task == "arc") return {{"accuracy", 0.5}, {"nll", 1.0}};
  return {{"nll", 0.5}};
}

TEST(Objective, TermsGoByAccuracyOrByLoss) {
  const std::vector<TaskWeight> accuracies = {{"kv", 1}, {"arc", 3}};
  EXPECT_DOUBLE_EQ(objective_score(accuracies, figures).accuracy, (0.25 + 3 * 0.5) / 4);
  EXPECT_DOUBLE_EQ(objective_score(accuracies, figures).nll, (2.0 + 3 * 1.0) / 4);

  const std::vector<TaskWeight> losses = {{"kv", 1, "loss"}, {"arc", 3, "loss"}};
  EXPECT_DOUBLE_EQ(objective_score(losses, figures).accuracy, std::exp(-(2.0 + 3 * 1.0) / 4));
  EXPECT_DOUBLE_EQ(objective_score(losses, figures).nll, (2.0 + 3 * 1.0) / 4);

  const std::vector<TaskWeight> mixed = {{"kv", 1, "accuracy"}, {"arc", 1, "loss"}, {kKlTask, 2}};
  EXPECT_DOUBLE_EQ(objective_score(mixed, figures).accuracy, (0.25 + 3 * std::exp(-(1.0 + 2 * 0.5) / 3)) / 4);
  EXPECT_EQ(objective_text(mixed), "kv + arc (loss) + 2 kl (loss)");
}

TEST(Objective, AccuracyTellsWhereItDiffersByMoreThanChance) {
  EXPECT_FALSE(accuracy_tells(std::vector<double>(30, 0.0), 32)) << "at the floor";
  EXPECT_FALSE(accuracy_tells(std::vector<double>(30, 1.0), 32)) << "at the ceiling";
  std::vector<double> lucky(30, 0.0);
  lucky[3] = 1.0 / 32;
  EXPECT_FALSE(accuracy_tells(lucky, 32));
  lucky[3] = 0.8;
  EXPECT_TRUE(accuracy_tells(lucky, 32));
  EXPECT_FALSE(accuracy_tells({0.5, 0.55, 0.45, 0.52}, 48));
  EXPECT_TRUE(accuracy_tells({0.1, 0.9, 0.5, 0.3}, 48));
}

}  // namespace
}  // namespace jet
