#include "jet/train/gradients.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace jet {
namespace {

// A world whose other process has the same gradients as this one.
class Twins : public World {
 public:
  int size() const override { return 2; }
  void start_sum(const at::Tensor& x) override {
    for (float& v : values_of(x)) v *= 2;
    sizes.push_back(x.numel());
    arrivals.push_back(polls);
  }
  void poll() override { ++polls; }
  std::vector<int64_t> sizes;
  std::vector<int> arrivals;  // gradients that had arrived before the one that sent a bucket off
  int polls = 0;
};

std::vector<at::Tensor> four_leaves() {
  std::vector<at::Tensor> leaves;
  for (int i = 0; i < 4; ++i) leaves.push_back(at::full({400, 1500}, 0.1 * (i + 1)).requires_grad_(true));
  return leaves;
}

// Layer by layer, so that the last leaf's gradient is known first; leaf 0 is left out where `all` is not set.
at::Tensor loss_of(const std::vector<at::Tensor>& leaves, double x, bool all) {
  at::Tensor h = at::full({400, 1500}, x);
  for (size_t i = all ? 0 : 1; i < leaves.size(); ++i) h = at::tanh(h * leaves[i]);
  return h.sum();
}

TEST(Gradients, SumOverPartsAndProcessesInBucketsThatLeaveEarly) {
  const auto leaves = four_leaves(), same = four_leaves();
  World one;
  Gradients alone(one, leaves);
  Twins two;
  Gradients twice(two, same);
  for (const bool all : {true, false, true}) {
    two.sizes.clear(), two.arrivals.clear(), two.polls = 0;
    for (const bool last : {false, true}) {
      const double x = last ? 0.7 : 0.3;
      alone.add(loss_of(leaves, x, all), last);
      twice.add(loss_of(same, x, all), last);
      EXPECT_EQ(two.sizes.empty(), !last);
    }
    const auto want = alone.take(), got = twice.take();
    for (size_t i = 0; i < leaves.size(); ++i) {
      EXPECT_LT((got[i] - 2 * want[i]).abs().max().item<double>(), 1e-6);
      EXPECT_EQ(want[i].abs().max().item<double>() > 0, i > 0 || all);
    }
    EXPECT_EQ(two.sizes, std::vector<int64_t>(4, 600000));
    EXPECT_EQ(two.arrivals, (std::vector<int>{0, 1, 2, 3}));  // without leaf 0 its bucket leaves after all three
  }
}

TEST(Gradients, OwnersHaveAboutTheSame) {
  std::vector<at::Tensor> parameters;
  for (const int64_t n : {1, 1000, 300, 20, 300, 300, 50, 50}) parameters.push_back(at::zeros({n}));
  for (const int processes : {1, 2, 3, 20}) {
    const auto owners = owners_of(parameters, processes);
    std::vector<int64_t> held(processes);
    for (size_t i = 0; i < owners.size(); ++i) {
      ASSERT_TRUE(0 <= owners[i] && owners[i] < processes);
      held[owners[i]] += parameters[i].numel();
    }
    const int64_t most = *std::max_element(held.begin(), held.end());
    EXPECT_LE(most, std::max<int64_t>(1000, (2021 + processes - 1) / processes + 50)) << processes;
  }
}

TEST(Gradients, OthersThanContiguousFloatsAreRefused) {
  EXPECT_THROW(values_of(at::zeros({2, 3}).t()), Error);
  EXPECT_THROW(values_of(at::zeros({2, 3}, at::kBFloat16)), Error);
  EXPECT_EQ(values_of(at::zeros({2, 3})).size(), 6);
}

}  // namespace
}  // namespace jet
