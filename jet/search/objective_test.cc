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

// By hand: the last `window` tokens and the first `sinks`, each once.
TEST(Baselines, AWindowWithSinksSeesBothEnds) {
  constexpr int tokens = 9, window = 3, sinks = 2;
  at::manual_seed(1);
  const at::Tensor q = at::randn({1, tokens, 1, 4}), k = at::randn({1, tokens, 1, 4}), v = at::randn({1, tokens, 1, 4});
  TorchOps ops;
  at::Tensor keys, values;
  const at::Tensor y = ops.attention(q, k, v, {0.5f, window, sinks}, keys, values);
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<int64_t> seen;
    for (int64_t j = 0; j <= t; ++j)
      if (j < sinks || j > t - window) seen.push_back(j);
    const at::Tensor at_seen = at::tensor(seen, at::kLong);
    const at::Tensor keys_seen = k.select(2, 0).select(0, 0).index_select(0, at_seen),
                     values_seen = v.select(2, 0).select(0, 0).index_select(0, at_seen);
    const at::Tensor p = at::softmax(at::matmul(keys_seen, q.select(1, t).flatten()) * 0.5, 0);
    EXPECT_TRUE(at::allclose(y.select(1, t).flatten(), at::matmul(p, values_seen), 1e-5, 1e-6)) << t;
  }
}

}  // namespace
}  // namespace jet
