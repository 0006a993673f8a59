#include "jet/tensor/quant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "jet/base/rng.h"

namespace jet {
namespace {

struct Packed {
  DType type;
  int64_t rows, cols;
  std::vector<uint8_t> numbers;
  std::vector<f16> scales;

  Packed(DType t, int64_t n_rows, int64_t n_cols, const std::vector<float>& values)
      : type(t), rows(n_rows), cols(n_cols), numbers(packed_bytes(t, rows, cols), 0xee),
        scales(scale_count(rows, cols), f16{0x7e00}) {
    for (int64_t p = 0; p < panels_of(rows); ++p) {
      quantize_panel(t, &values[p * kPanelRows * cols], std::min(kPanelRows, rows - p * kPanelRows), cols,
                     &numbers[p * packed_bytes(t, kPanelRows, cols)], &scales[p * scale_count(kPanelRows, cols)]);
    }
  }
  std::vector<float> row(int64_t r) const {
    std::vector<float> out(cols);
    dequantize_row(type, numbers.data(), scales.data(), cols, r, out.data());
    return out;
  }
  /// The number at (r, c) by the layout's own words, one index at a time.
  float at(int64_t r, int64_t c) const {
    const int64_t panel = r / 16, lane = r % 16, group = c / 32, in_group = c % 32;
    const float scale = to_float(scales[(panel * (cols / 32) + group) * 16 + lane]);
    if (type == DType::q8) {
      const int64_t quad = in_group / 4;
      return scale * (numbers[(((panel * (cols / 32) + group) * 8 + quad) * 16 + lane) * 4 + in_group % 4] - 128.0f);
    }
    const int64_t pair = in_group / 8, i = in_group % 4;
    const uint8_t byte = numbers[(((panel * (cols / 32) + group) * 4 + pair) * 16 + lane) * 4 + i];
    return scale * (static_cast<float>(in_group % 8 < 4 ? byte & 15 : byte >> 4) - 8);
  }
};

std::vector<float> normals(int64_t n, float size, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<float> x(n);
  for (float& v : x) v = size * static_cast<float>(rng.normal());
  return x;
}

/// The least squared error of one group over every f16 scale of either sign.
double least_error(DType t, const float* x) {
  const float low = t == DType::q8 ? -127 : -8, high = t == DType::q8 ? 127 : 7;
  double least = INFINITY;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float scale = to_float(f16{static_cast<uint16_t>(bits)});
    if (!(std::abs(scale) < 1) || scale == 0) continue;
    double error = 0;
    for (int i = 0; i < 32; ++i) {
      const double rest = x[i] - scale * std::clamp(std::nearbyint(x[i] / scale), low, high);
      error += rest * rest;
    }
    least = std::min(least, error);
  }
  return least;
}

TEST(F16, EveryNumberReturns) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 h{static_cast<uint16_t>(bits)};
    const float x = to_float(h);
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(to_float(to_f16(x))));
    } else {
      EXPECT_EQ(to_f16(x).bits, bits) << x;
    }
  }
}

TEST(F16, RoundsToNearestTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    const float a = to_float(f16{low}), b = to_float(f16{high}), middle = (a + b) / 2;  // exact in fp32
    EXPECT_EQ(to_f16(middle).bits, low % 2 == 0 ? low : high);
    EXPECT_EQ(to_f16(std::nextafter(middle, 0.0f)).bits, low);
    EXPECT_EQ(to_f16(-std::nextafter(middle, INFINITY)).bits, high | 0x8000);
  }
  EXPECT_EQ(to_f16(65519.9f).bits, 0x7bff);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_f16(-INFINITY).bits, 0xfc00);
  EXPECT_EQ(to_f16(1e-30f).bits, 0);
}

TEST(Quant, LayoutAndPadding) {
  for (const DType t : {DType::q8, DType::q4}) {
    for (const int64_t rows : {1, 16, 37}) {
      const int64_t cols = 96;
      const auto values = normals(rows * cols, 0.02f);
      const Packed m(t, rows, cols, values);
      for (int64_t r = 0; r < panels_of(rows) * kPanelRows; ++r) {
        const auto row = m.row(r);
        for (int64_t c = 0; c < cols; ++c) {
          EXPECT_EQ(row[c], m.at(r, c));
          EXPECT_TRUE(r < rows || row[c] == 0) << row[c];
        }
      }
    }
  }
}

TEST(Quant, RepresentableNumbersReturnExactly) {
  for (const DType t : {DType::q8, DType::q4}) {
    const bool is_q8 = t == DType::q8;
    std::vector<float> values(2 * 16 * 64);
    Rng rng(3);
    for (size_t g = 0; g < values.size(); g += 32) {
      const float scale = (g / 32 % 2 ? -1.0f : 1.0f) * 0.0078125f;  // negative: the greatest number needs the -8
      for (size_t i = g; i < g + 32; ++i)
        values[i] = scale * (is_q8 ? static_cast<float>(rng.below(255)) - 127 : static_cast<float>(rng.below(16)) - 8);
      values[g] = scale * (is_q8 ? -127 : -8);
    }
    const Packed m(t, 32, 64, values);
    for (int64_t r = 0; r < 32; ++r) {
      EXPECT_EQ(m.row(r), std::vector<float>(values.begin() + r * 64, values.begin() + (r + 1) * 64));
    }
  }
}

TEST(Quant, ScalesAreNearTheBest) {
  const auto values = normals(16 * 32, 0.02f);
  for (const auto& [t, above] : {std::pair{DType::q8, 1.10}, {DType::q4, 1.02}}) {
    const Packed m(t, 16, 32, values);
    double error = 0, least = 0;
    for (int64_t r = 0; r < 16; ++r) {
      const auto row = m.row(r);
      for (int64_t c = 0; c < 32; ++c) error += std::pow(double{row[c]} - values[r * 32 + c], 2);
      least += least_error(t, &values[r * 32]);
    }
    EXPECT_GE(error, least * (1 - 1e-5));
    EXPECT_LE(error, least * above) << name_of(t);
  }
}

TEST(Quant, ExtremeSizes) {
  for (const DType t : {DType::q8, DType::q4}) {
    std::vector<float> values(16 * 32, 0.0f);
    for (int i = 0; i < 32; ++i) {
      values[32 + i] = 1e-30f, values[64 + i] = i % 2 ? 3e-6f : -3e-6f, values[96 + i] = i % 2 ? 1e30f : -1e30f;
      values[128 + i] = i == 5 ? -7.0f : 0.0f;
    }
    const Packed m(t, 16, 32, values);
    EXPECT_EQ(m.row(0), std::vector<float>(32, 0.0f));
    for (const float x : m.row(1)) EXPECT_EQ(x, 0);  // below the smallest scale
    for (int i = 0; i < 32; ++i) EXPECT_NEAR(m.row(2)[i], values[64 + i], 3e-7) << name_of(t);
    for (const float x : m.row(3)) EXPECT_TRUE(std::isfinite(x));  // beyond the greatest scale
    EXPECT_NEAR(m.row(4)[5], -7, 0.01);
    EXPECT_EQ(m.row(4)[6], 0);
  }
}

}  // namespace
}  // namespace jet
