// Loops and formulas give the same numbers and gradients, whatever lies how in memory.
#include "jet/train/row_ops.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

namespace jet {
namespace {

using at::Tensor;

// The loops' outputs and gradients in fp32 against the formula's in fp64.
void expect_same(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& inputs,
                 const char* what) {
  std::vector<std::vector<Tensor>> results;
  for (const auto type : {at::kFloat, at::kDouble}) {
    std::vector<Tensor> own;
    for (const Tensor& x : inputs) own.push_back((type == at::kFloat ? x.detach() : x.to(type)).requires_grad_(true));
    const Tensor y = f(own);
    at::manual_seed(3);
    const Tensor weights = at::randn(y.sizes(), at::kFloat).to(type);
    auto all = torch::autograd::grad({(y * weights).sum()}, own);
    all.insert(all.begin(), y.detach());
    results.push_back(all);
  }
  for (size_t i = 0; i < results[0].size(); ++i) {
    const Tensor &got = results[0][i], &want = results[1][i];
    ASSERT_EQ(got.sizes(), want.sizes()) << what;
    EXPECT_LT((got.to(at::kDouble) - want).abs().max().item<double>(), 1e-5 * (1 + want.abs().max().item<double>()))
        << what << ", " << (i == 0 ? "output" : "gradient ") << i;
  }
}

TEST(RowOps, NormsAreTheirFormula) {
  at::manual_seed(1);
  for (const int64_t width : {1, 7, 16, 72}) {
    const Tensor x = at::randn({3, 131, width}), w = at::randn({width});
    for (const double factor : {1.0, 1.0 / static_cast<double>(width)}) {
      expect_same([&](const auto& in) { return norm_rows(in[0], in[1], factor, 1e-3); }, {x, w}, "weighed");
      expect_same([&](const auto& in) { return norm_rows(in[0], {}, factor, 1e-3); }, {x}, "plain");
      expect_same([&](const auto& in) { return norm_rows(in[0].transpose(0, 1), in[1], factor, 1e-3); }, {x, w},
                  "strided");
    }
  }
  EXPECT_EQ(norm_rows(at::zeros({0, 4}), at::ones({4}), 1, 1).sizes(), at::IntArrayRef({0, 4}));
}

TEST(RowOps, ConvolutionsAreTheirFormula) {
  at::manual_seed(2);
  for (const int64_t width : {1, 2, 4}) {
    for (const int64_t channels : {1, 5, 33}) {
      const int64_t tokens = 70;
      const Tensor x = at::randn({3, tokens + width, channels}), shared = at::randn({channels, width}),
                   own = at::randn({3, tokens, channels, width});
      const auto from_second = [](const auto& in) {
        return convolve_rows(in[0].narrow(1, 1, in[0].size(1) - 1), in[1]);
      };
      expect_same(from_second, {x, shared}, "a kernel a channel");
      expect_same(from_second, {x, own}, "a kernel a token");
      expect_same([](const auto& in) { return convolve_rows(in[0].transpose(1, 2), in[1]); },
                  {at::randn({2, channels, tokens}), shared}, "columns");
    }
  }
}

TEST(RowOps, GradientsThatNobodyWantsAreLeftOut) {
  const Tensor x = at::randn({1, 9, 4}), k = at::randn({4, 3}), w = at::randn({4}).requires_grad_(true);
  EXPECT_FALSE(convolve_rows(x, k).requires_grad());
  const auto grads = torch::autograd::grad({norm_rows(x, w, 1, 1e-6).sum()}, {w});
  EXPECT_EQ(grads[0].sizes(), w.sizes());
}

}  // namespace
}  // namespace jet
