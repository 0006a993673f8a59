// Element types and their bits.
//   bf16: 1 sign, 8 exponent, 7 mantissa (the upper half of fp32)     f16: 1 sign, 5 exponent, 10 mantissa
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

namespace jet {

// q8, q4: weights in blocks with scales (jet/tensor/quant.h); they have no bytes per element.
enum class DType { f32, bf16, f16, i64, i32, u8, i8, q8, q4 };

/// Bytes of one element.
constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16:
    case DType::f16: return 2;
    case DType::u8:
    case DType::i8: return 1;
    case DType::q8:
    case DType::q4: break;
  }
  return 0;
}

/// "f32", "bf16", ...
const char* name_of(DType t);
DType dtype_from_name(const std::string& name, const std::string& where);

struct bf16 {
  uint16_t bits = 0;
};
struct f16 {
  uint16_t bits = 0;
};

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

/// Round to nearest, ties to even; NaN stays NaN.
inline bf16 to_bf16(float x) {
  const auto u = std::bit_cast<uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((u >> 16) | 0x40)};
  return {static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1)) >> 16)};
}

inline float to_float(f16 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16;
  const uint32_t exponent = (x.bits >> 10) & 31, mantissa = x.bits & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent > 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

/// Round to nearest, ties to even; infinite from 65520 on; NaN stays NaN.
inline f16 to_f16(float x) {
  const auto u = std::bit_cast<uint32_t>(x);
  const uint32_t sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
  uint32_t bits = 0x7c00;
  if (magnitude > 0x7f800000u) {
    bits = 0x7e00;
  } else if (magnitude < 0x38800000u) {
    // A multiple of 2^-24, which is the last place of numbers in [0.5, 1): the sum rounds to it.
    bits = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  } else if (magnitude < 0x477ff000u) {
    bits = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1)) >> 13;
  }
  return {static_cast<uint16_t>(sign | bits)};
}

}  // namespace jet
