// Four floats at once under the names that jet/blocks/math.h gives one: a map's function runs on either.
//   exp        2^n times a polynomial (Cephes expf), relative error below 2e-7
//   log1p(u)   2 artanh(u / (2 + u)) as a series, for u in [0, 1]
#pragma once

#include <cstdint>
#include <cstring>

#include "jet/blocks/math.h"

namespace jet {

struct Float4 {
  typedef float V __attribute__((vector_size(16)));
  typedef int32_t I __attribute__((vector_size(16)));
  V v;

  Float4() = default;
  Float4(V x) : v(x) {}
  Float4(float x) : v(V{} + x) {}
  static Float4 load(const float* p) {
    V v;
    std::memcpy(&v, p, sizeof(v));
    return v;
  }
  void store(float* p) const { std::memcpy(p, &v, sizeof(v)); }

  friend Float4 operator+(Float4 a, Float4 b) { return a.v + b.v; }
  friend Float4 operator-(Float4 a, Float4 b) { return a.v - b.v; }
  friend Float4 operator*(Float4 a, Float4 b) { return a.v * b.v; }
  friend Float4 operator/(Float4 a, Float4 b) { return a.v / b.v; }
  friend Float4 operator-(Float4 a) { return -a.v; }
};

inline Float4 max(Float4 a, Float4 b) { return a.v < b.v ? b.v : a.v; }  // a NaN in `a` stays
inline Float4 min(Float4 a, Float4 b) { return a.v > b.v ? b.v : a.v; }
inline Float4 clamp_min(Float4 x, float low) { return max(x, low); }

inline Float4 exp(Float4 x) {
  x = min(max(x, -87.0f), 88.0f);
  const Float4 shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer part lands in the low bits
  const Float4 n = shifted - 12582912.0f;
  const Float4 r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Float4 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  Float4::I power;
  std::memcpy(&power, &shifted.v, sizeof(power));
  power = (power - 0x4b400000 + 127) << 23;
  Float4::V scale;
  std::memcpy(&scale, &power, sizeof(scale));
  return p * scale;
}

/// log(1 + e^-|x|)
inline Float4 log1p_exp_minus_abs(Float4 x) {
  const Float4 u = exp(min(x, -x)), s = u / (u + 2.0f), z = s * s;
  Float4 p = z * (1.0f / 13) + 1.0f / 11;
  p = p * z + 1.0f / 9;
  p = p * z + 1.0f / 7;
  p = p * z + 1.0f / 5;
  p = p * z + 1.0f / 3;
  return (p * z + 1.0f) * s * 2.0f;
}

inline Float4 sigmoid(Float4 x) { return 1.0f / (exp(-x) + 1.0f); }
inline Float4 silu(Float4 x) { return x / (exp(-x) + 1.0f); }
inline Float4 tanh(Float4 x) { return 1.0f - 2.0f / (exp(x * 2.0f) + 1.0f); }
inline Float4 softplus(Float4 x) { return max(x, 0.0f) + log1p_exp_minus_abs(x); }
inline Float4 log_sigmoid(Float4 x) { return min(x, 0.0f) - log1p_exp_minus_abs(x); }

static_assert(FormulaNumber<Float4>);

}  // namespace jet
