// Scales by search. For numbers x and a scale s, the codes are q_i = clamp(round(x_i / s)); given the codes, the best
// scale is sum x q / sum q q. From each of several first scales the two are taken in turn, every scale rounded to f16
// before its codes are chosen, and what had the least sum (x - s q)^2 is kept.
//
// int4 has the codes -8..7: a scale of either sign may be the better one, as it decides which extreme gets the -8.
#include "jet/tensor/quant_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace jet {

namespace {

constexpr int kGroup = static_cast<int>(kGroupColumns), kPanel = static_cast<int>(kPanelRows);
constexpr int kRefinements = 2;
constexpr float kSmallestScale = 0x1p-24f, kLargestScale = 65504;

struct Range {
  float low, high;
};

struct Sums {
  float error = 0, xq = 0, qq = 0;
};

/// Codes of x under `scale`, and their sums.
Sums encode(const float* x, float scale, Range range, float* q) {
  constexpr float kRound = 12582912;  // 1.5 * 2^23: adding it drops the fraction, to the nearest even
  const float inverse = scale == 0 ? 0 : 1 / scale;
  float error = 0, xq = 0, qq = 0;
#pragma omp simd reduction(+ : error, xq, qq)
  for (int i = 0; i < kGroup; ++i) {
    const float y = x[i] * inverse, low = y < range.low ? range.low : y, clamped = low > range.high ? range.high : low;
    const float code = (clamped + kRound) - kRound, rest = x[i] - scale * code;
    q[i] = code;
    error += rest * rest;
    xq += x[i] * code;
    qq += code * code;
  }
  return {error, xq, qq};
}

/// The best scale found, as f16 holds it.
struct Search {
  const float* x;
  Range range;
  float best_scale = 0, best_error = INFINITY;

  void from(float scale) {
    float q[kGroup];
    float before = 0;
    for (int i = 0; i <= kRefinements; ++i) {
      scale = std::copysign(std::clamp(std::abs(scale), kSmallestScale, kLargestScale), scale);
      scale = to_float(to_f16(scale));
      if (scale == before) return;
      before = scale;
      const Sums sums = encode(x, scale, range, q);
      if (sums.error < best_error) best_error = sums.error, best_scale = scale;
      if (sums.qq == 0) return;
      scale = sums.xq / sums.qq;
    }
  }
};

/// The number furthest from zero, with its sign.
float extreme_of(const float* x) {
  const auto [low, high] = std::minmax_element(x, x + kGroup);
  return -*low > *high ? *low : *high;
}

float scale_of(DType t, const float* x) {
  const float extreme = extreme_of(x);
  if (extreme == 0) return 0;
  if (t == DType::q8) {
    Search search{x, {-127, 127}};
    for (const float steps : {127.0f, 126.3f, 125.5f, 124.5f, 123.5f}) search.from(extreme / steps);
    return search.best_scale;
  }
  Search search{x, {-8, 7}};
  for (const float steps : {-7.3f, -7.8f, -8.3f, -8.8f, -9.4f, 6.6f, 7.1f, 7.6f, 8.2f}) search.from(extreme / steps);
  return search.best_scale;
}

}  // namespace

void pack_group(DType t, const int8_t* codes, int64_t row, uint8_t* group) {
  const int zero = t == DType::q8 ? 128 : 8;
  uint8_t unsigned_codes[kGroup];
  for (int i = 0; i < kGroup; ++i) unsigned_codes[i] = static_cast<uint8_t>(codes[i] + zero);
  if (t == DType::q8) {
    for (int quad = 0; quad < 8; ++quad) std::memcpy(group + (quad * kPanel + row) * 4, unsigned_codes + 4 * quad, 4);
    return;
  }
  for (int pair = 0; pair < 4; ++pair) {
    const uint8_t* c = unsigned_codes + 8 * pair;
    for (int i = 0; i < 4; ++i) group[(pair * kPanel + row) * 4 + i] = static_cast<uint8_t>(c[i] | c[4 + i] << 4);
  }
}

void pack_row(DType t, const float* codes, int row, uint8_t* group) {
  int8_t narrow[kGroup];
  std::transform(codes, codes + kGroup, narrow, [](float code) { return static_cast<int8_t>(code); });
  pack_group(t, narrow, row, group);
}

void quantize_panel(DType t, const float* values, int64_t rows, int64_t cols, uint8_t* packed, f16* scales) {
  const Range range = t == DType::q8 ? Range{-127, 127} : Range{-8, 7};
  const int64_t groups = cols / kGroup, group_bytes = packed_bytes(t, kPanelRows, kGroupColumns);
  const float padding[kGroup] = {};
  float q[kGroup];
  for (int64_t g = 0; g < groups; ++g) {
    for (int row = 0; row < kPanel; ++row) {
      const float* x = row < rows ? values + row * cols + g * kGroup : padding;
      const f16 scale = to_f16(scale_of(t, x));
      scales[g * kPanel + row] = scale;
      encode(x, to_float(scale), range, q);
      pack_row(t, q, row, packed + g * group_bytes);
    }
  }
}

void dequantize_row(DType t, const void* packed, const void* scales, int64_t cols, int64_t row, float* out) {
  const int64_t panel = row / kPanelRows, lane = row % kPanelRows, group_bytes = packed_bytes(t, kPanelRows, kGroup);
  const auto* bytes = static_cast<const uint8_t*>(packed) + panel * packed_bytes(t, kPanelRows, cols);
  const auto* scale = static_cast<const f16*>(scales) + panel * scale_count(kPanelRows, cols);
  for (int64_t g = 0; g < cols / kGroup; ++g, out += kGroup) {
    const uint8_t* group = bytes + g * group_bytes + lane * 4;
    const float s = to_float(scale[g * kPanel + lane]);
    if (t == DType::q8) {
      for (int c = 0; c < kGroup; ++c) out[c] = s * static_cast<float>(group[c / 4 * kPanel * 4 + c % 4] - 128);
    } else {
      for (int c = 0; c < kGroup; ++c) {
        const uint8_t both = group[c / 8 * kPanel * 4 + c % 4];
        out[c] = s * static_cast<float>((c % 8 < 4 ? both & 15 : both >> 4) - 8);
      }
    }
  }
}

}  // namespace jet
