// Rounding by inputs against plain rounding, on random problems.
#include "jet/engine/error_feedback.h"

#include <gtest/gtest.h>

#include <cmath>

#include "jet/base/rng.h"
#include "jet/tensor/quant.h"

namespace jet {
namespace {

constexpr int64_t kRows = 40, kColumns = 160, kInputs = 500;

std::vector<float> normal(int64_t n, const char* name) {
  Rng rng(1, name);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(rng.normal());
  return x;
}

/// X^T X of inputs whose columns depend on each other and differ in size.
std::vector<float> products() {
  const auto z = normal(kInputs * kColumns, "z"), mix = normal(kColumns * kColumns, "mix");
  std::vector<double> x(kInputs * kColumns), h(kColumns * kColumns);
  for (int64_t t = 0; t < kInputs; ++t) {
    for (int64_t c = 0; c < kColumns; ++c) {
      for (int64_t k = 0; k < 6; ++k) x[t * kColumns + c] += z[t * kColumns + k] * mix[k * kColumns + c];
      x[t * kColumns + c] += 0.5 * z[t * kColumns + c];
    }
  }
  for (int64_t t = 0; t < kInputs; ++t) {
    for (int64_t i = 0; i < kColumns; ++i) {
      for (int64_t j = 0; j < kColumns; ++j) h[i * kColumns + j] += x[t * kColumns + i] * x[t * kColumns + j];
    }
  }
  return {h.begin(), h.end()};
}

struct Rounded {
  std::vector<uint8_t> packed;
  std::vector<f16> scales;
  double told = 0;  // what quantize_panel says that it cost
};

Rounded rounded(DType t, const std::vector<float>& w, const RoundingMetric* metric) {
  Rounded r{std::vector<uint8_t>(packed_bytes(t, kRows, kColumns)), std::vector<f16>(scale_count(kRows, kColumns))};
  for (int64_t p = 0; p < panels_of(kRows); ++p) {
    const float* values = w.data() + p * kPanelRows * kColumns;
    const int64_t rows = std::min(kPanelRows, kRows - p * kPanelRows);
    uint8_t* packed = &r.packed[p * packed_bytes(t, kPanelRows, kColumns)];
    f16* scales = &r.scales[p * scale_count(kPanelRows, kColumns)];
    if (metric) {
      r.told += quantize_panel(t, values, rows, *metric, packed, scales);
    } else {
      quantize_panel(t, values, rows, kColumns, packed, scales);
    }
  }
  return r;
}

/// sum of e h e^T over the rows.
double cost(DType t, const std::vector<float>& w, const Rounded& r, const std::vector<float>& h) {
  double sum = 0;
  std::vector<float> q(kColumns);
  for (int64_t row = 0; row < kRows; ++row) {
    dequantize_row(t, r.packed.data(), r.scales.data(), kColumns, row, q.data());
    for (int64_t i = 0; i < kColumns; ++i) {
      for (int64_t j = 0; j < kColumns; ++j) {
        sum += (double{w[row * kColumns + i]} - q[i]) * h[i * kColumns + j] * (double{w[row * kColumns + j]} - q[j]);
      }
    }
  }
  return sum;
}

TEST(ErrorFeedback, CostsLessThanPlainRounding) {
  ThreadPool pool(2);
  const auto w = normal(kRows * kColumns, "w"), h = products();
  const RoundingMetric metric = rounding_metric(h, kColumns, pool);
  ASSERT_DOUBLE_EQ(metric.damping, 0.01);
  for (const auto& [type, part] : {std::pair{DType::q4, 0.35}, {DType::q8, 0.35}}) {
    const Rounded r = rounded(type, w, &metric);
    EXPECT_LT(cost(type, w, r, h), part * cost(type, w, rounded(type, w, nullptr), h)) << name_of(type);
    const double damped = cost(type, w, r, metric.h);
    EXPECT_NEAR(r.told, damped, 0.01 * damped) << name_of(type);
  }
}

TEST(ErrorFeedback, FactorsGiveH) {
  ThreadPool pool(2), one(1);
  const RoundingMetric m = rounding_metric(products(), kColumns, pool);
  const RoundingMetric same = rounding_metric(products(), kColumns, one);
  EXPECT_EQ(m.a, same.a);
  EXPECT_EQ(m.d, same.d);
  double error = 0, power = 0;
  for (int64_t i = 0; i < kColumns; ++i) {
    for (int64_t j = i; j < kColumns; ++j) {
      double sum = 0;  // (A + 1) D (A + 1)^T
      for (int64_t k = j; k < kColumns; ++k) {
        const double left = k == i ? 1 : m.a[i * kColumns + k], right = k == j ? 1 : m.a[j * kColumns + k];
        sum += left * m.d[k] * right;
      }
      error += std::pow(sum - m.h[i * kColumns + j], 2), power += std::pow(sum, 2);
    }
  }
  EXPECT_LT(std::sqrt(error / power), 1e-6);
}

TEST(ErrorFeedback, SaysWhereInputsSayNothing) {
  ThreadPool pool(1);
  std::vector<float> h(kColumns * kColumns);
  EXPECT_FALSE(rounding_metric(h, kColumns, pool).is_usable());
  std::fill(h.begin(), h.end(), 1.0f);  // every input the same: of rank one
  EXPECT_TRUE(rounding_metric(h, kColumns, pool).is_usable());
  h[3 * kColumns + 5] = h[5 * kColumns + 3] = 1e6f;  // no X has such products
  EXPECT_FALSE(rounding_metric(h, kColumns, pool).is_usable());
  h[7] = NAN;
  EXPECT_FALSE(rounding_metric(h, kColumns, pool).is_usable());
}

TEST(ErrorFeedback, ZerosStayZero) {
  ThreadPool pool(1);
  const RoundingMetric metric = rounding_metric(products(), kColumns, pool);
  const std::vector<float> w(kRows * kColumns);
  const Rounded r = rounded(DType::q4, w, &metric);
  EXPECT_EQ(r.told, 0);
  EXPECT_EQ(cost(DType::q4, w, r, metric.h), 0);
}

}  // namespace
}  // namespace jet
