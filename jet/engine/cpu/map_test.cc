#include "jet/engine/cpu/cpu_ops.h"

#include <gtest/gtest.h>

#include <cmath>

namespace jet {
namespace {

/// Every step there is, in either order of its operands.
template <class T>
T everything(T x, T y) {
  T z = exp(-x) + tanh(y) - sigmoid(x) * silu(y) / softplus(x);
  z = z + log_sigmoid(y) * 0.5f + 0.25f - clamp_min(x, 0.1f);
  z = 2.0f * z + (1.0f - z) / 3.0f + 1.0f / (1.5f + y * y);
  return z - 0.125f + gelu_tanh(x) * elu_plus_one(y);
}

/// Tokens' rows against parameters of every shape that broadcasts, on all kernels; what is not written is NaN.
class CpuMap : public testing::TestWithParam<const Kernels*> {
 protected:
  static constexpr int64_t kHeads = 5, kDim = 300;  // a row is longer than a part that one number is repeated in

  /// [tokens, C] of numbers in [-4, 4].
  CpuTensor tokens(int64_t n, int64_t c) {
    table_.resize(std::max<size_t>(table_.size(), n * c));
    for (size_t i = 0; i < table_.size(); ++i) table_[i] = 4 * std::sin(static_cast<float>(i * i % 971));
    std::vector<int32_t> ids(n);
    for (int64_t t = 0; t < n; ++t) ids[t] = static_cast<int32_t>(n - 1 - t);
    return ops_.embed(ids, {.dtype = DType::f32, .data = table_.data(), .dims = Dims::of(n, c)});
  }
  static float at(const CpuTensor& x, int64_t t, int64_t h, int64_t d) {
    return x.row(t)[(x.dims.outer == 1 ? 0 : h * x.dims.inner) + (x.dims.inner == 1 ? 0 : d)];
  }
  void expect_everything(const CpuTensor& x, const CpuTensor& y, int64_t n) {
    const CpuTensor got = ops_.map([](auto a, auto b) { return everything(a, b); }, x, y);
    ASSERT_EQ(got.rows, n);
    for (int64_t t = 0; t < n; ++t)
      for (int64_t h = 0; h < got.dims.outer; ++h)
        for (int64_t d = 0; d < got.dims.inner; ++d) {
          const float wanted = everything(at(x, t, h, d), at(y, t, h, d));
          ASSERT_NEAR(at(got, t, h, d), wanted, 1e-5 * (1 + std::abs(wanted))) << t << " " << h << " " << d;
        }
  }

  std::vector<float> table_;
  ThreadPool pool_{2};
  Arena arena_{true};
  OpMeter meter_;
  CpuOps ops_{pool_, arena_, meter_, *GetParam()};
};

TEST_P(CpuMap, GivesWhatTheFormulaSays) {
  constexpr int64_t n = 7;
  const CpuTensor rows = tokens(n, kHeads * kDim), x = ops_.heads(rows, kHeads);
  expect_everything(x, x, n);
  expect_everything(rows, ops_.slice(tokens(n, 2 * kHeads * kDim), 11, kHeads * kDim), n);  // rows further apart
  std::vector<float> some(kHeads * kDim);
  for (size_t i = 0; i < some.size(); ++i) some[i] = 3 * std::cos(static_cast<float>(i));
  const auto first = [&](int64_t count) { return ops_.constant({some.begin(), some.begin() + count}); };
  expect_everything(x, ops_.heads(first(kHeads * kDim), kHeads), n);
  expect_everything(x, first(kDim), n);                        // of every head
  expect_everything(ops_.heads(first(kHeads), kHeads), x, n);  // one number a head
  expect_everything(first(1), x, n);
  expect_everything(x, ops_.heads(tokens(n, kHeads), kHeads), n);
}

INSTANTIATE_TEST_SUITE_P(Kernels, CpuMap, testing::ValuesIn(all_kernels()), [](const auto& one) {
  std::string name = one.param->name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Formula, MayHaveItsResultAnywhere) {
  const Formula f = record<2>([](auto x, auto y) { return (void)(x + y), x; });
  const float x = 3, y = 4, *const in[] = {&x, &y};
  float out = 0;
  kernels().map({f.code.data(), std::ssize(f.code), f.result, in, &out, 1});
  EXPECT_EQ(out, 3);
}

}  // namespace
}  // namespace jet
