#include "jet/tensor/ggml.h"

#include <cstring>
#include <iterator>

namespace jet {
namespace {

using BlockBytes = const uint8_t*;

constexpr int8_t kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

f16 half_at(BlockBytes b) { return {static_cast<uint16_t>(b[0] | b[1] << 8)}; }
float float_at(BlockBytes b) { return to_float(half_at(b)); }
uint32_t word_at(BlockBytes b) { return b[0] | b[1] << 8 | b[2] << 16 | static_cast<uint32_t>(b[3]) << 24; }
int8_t signed_at(BlockBytes b) { return static_cast<int8_t>(*b); }

/// Code of column j < 32, four bits of it in `c` and, where there is one, the fifth in `high`.
int split_code(BlockBytes c, int j, uint32_t high = 0) {
  const int low = j < 16 ? c[j] & 15 : c[j - 16] >> 4;
  return low | static_cast<int>(high >> j & 1) << 4;
}

template <class F>
GgmlCodes codes_of(BlockBytes b, F code) {
  GgmlCodes g{half_at(b)};
  for (int j = 0; j < kGgmlGroup; ++j) g.codes[j] = static_cast<int8_t>(code(j));
  return g;
}
GgmlCodes codes_q4_0(BlockBytes b) {
  return codes_of(b, [c = b + 2](int j) { return split_code(c, j) - 8; });
}
GgmlCodes codes_q5_0(BlockBytes b) {
  return codes_of(b, [c = b + 6, high = word_at(b + 2)](int j) { return split_code(c, j, high) - 16; });
}
GgmlCodes codes_q8_0(BlockBytes b) {
  return codes_of(b, [c = b + 2](int j) { return signed_at(c + j); });
}
GgmlCodes codes_iq4_nl(BlockBytes b) {
  return codes_of(b, [c = b + 2](int j) { return kNonLinear[split_code(c, j)]; });
}

template <GgmlCodes (*Codes)(BlockBytes)>
void decode_codes(BlockBytes b, float* out) {
  const GgmlCodes g = Codes(b);
  const float d = to_float(g.scale);
  for (int j = 0; j < kGgmlGroup; ++j) out[j] = d * static_cast<float>(g.codes[j]);
}

void decode_q4_1(BlockBytes b, float* out) {
  const float d = float_at(b), m = float_at(b + 2);
  for (int j = 0; j < kGgmlGroup; ++j) out[j] = static_cast<float>(split_code(b + 4, j)) * d + m;
}

void decode_q5_1(BlockBytes b, float* out) {
  const float d = float_at(b), m = float_at(b + 2);
  const uint32_t high = word_at(b + 4);
  for (int j = 0; j < kGgmlGroup; ++j) out[j] = static_cast<float>(split_code(b + 8, j, high)) * d + m;
}

// The K types cut 256 columns into halves of 128, whose codes of two bits lie in 32 bytes: column 32 k + i of a half in
// bits 2 k of byte i.

void decode_q2_k(BlockBytes b, float* out) {
  const BlockBytes scales = b, codes = b + 16;
  const float d = float_at(b + 80), m = float_at(b + 82);
  for (int j = 0; j < 256; ++j) {
    const int half = j / 128, k = j % 128 / 32, scale = scales[j / 16];
    const int code = codes[32 * half + j % 32] >> 2 * k & 3;
    out[j] = d * static_cast<float>(scale & 15) * static_cast<float>(code) - m * static_cast<float>(scale >> 4);
  }
}

void decode_q3_k(BlockBytes b, float* out) {
  const BlockBytes high = b, codes = b + 32, scales = b + 96;
  const float d = float_at(b + 108);
  for (int j = 0; j < 256; ++j) {
    const int group = j / 16, half = j / 128, k = j % 128 / 32;
    const int low4 = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    const int scale = (low4 | (scales[8 + group % 4] >> 2 * (group / 4) & 3) << 4) - 32;
    const int code = (codes[32 * half + j % 32] >> 2 * k & 3) - (high[j % 32] >> (4 * half + k) & 1 ? 0 : 4);
    out[j] = d * static_cast<float>(scale) * static_cast<float>(code);
  }
}

/// The eight scales and minima, 6 bits each, of Q4_K and Q5_K.
struct KScale {
  int scale, minimum;
};
KScale k_scale(BlockBytes s, int i) {
  if (i < 4) return {s[i] & 63, s[i + 4] & 63};
  return {(s[i + 4] & 15) | s[i - 4] >> 6 << 4, s[i + 4] >> 4 | s[i] >> 6 << 4};
}

/// Groups of 32 columns lie by twos in 32 bytes, the first in the low halves; `high` holds a fifth bit of each.
void decode_k(BlockBytes b, BlockBytes high, BlockBytes codes, float* out) {
  const float d = float_at(b), m = float_at(b + 2);
  for (int group = 0; group < 8; ++group) {
    const KScale s = k_scale(b + 4, group);
    const float scale = d * static_cast<float>(s.scale), minimum = m * static_cast<float>(s.minimum);
    for (int i = 0; i < 32; ++i) {
      const int byte = codes[group / 2 * 32 + i];
      int code = group % 2 ? byte >> 4 : byte & 15;
      if (high) code |= (high[i] >> group & 1) << 4;
      out[32 * group + i] = scale * static_cast<float>(code) - minimum;
    }
  }
}
void decode_q4_k(BlockBytes b, float* out) { decode_k(b, nullptr, b + 16, out); }
void decode_q5_k(BlockBytes b, float* out) { decode_k(b, b + 16, b + 48, out); }

void decode_q6_k(BlockBytes b, float* out) {
  const BlockBytes low = b, high = b + 128, scales = b + 192;
  const float d = float_at(b + 208);
  for (int j = 0; j < 256; ++j) {
    const int half = j / 128, k = j % 128 / 32, i = j % 32, byte = low[64 * half + 32 * (k % 2) + i];
    const int code = (k < 2 ? byte & 15 : byte >> 4) | (high[32 * half + i] >> 2 * k & 3) << 4;
    out[j] = d * static_cast<float>(signed_at(scales + j / 16)) * static_cast<float>(code - 32);
  }
}

void decode_iq4_xs(BlockBytes b, float* out) {
  const float d = float_at(b);
  const int high = b[2] | b[3] << 8;
  for (int group = 0; group < 8; ++group) {
    const int scale = (b[4 + group / 2] >> 4 * (group % 2) & 15) | (high >> 2 * group & 3) << 4;
    const float step = d * static_cast<float>(scale - 32);
    for (int j = 0; j < 32; ++j) out[32 * group + j] = step * kNonLinear[split_code(b + 8 + 16 * group, j)];
  }
}

void decode_f32(BlockBytes b, float* out) { std::memcpy(out, b, sizeof(float)); }
void decode_f16(BlockBytes b, float* out) { *out = float_at(b); }
void decode_bf16(BlockBytes b, float* out) { *out = to_float(bf16{half_at(b).bits}); }

constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4, DType::f32, decode_f32},
    {1, "F16", 1, 2, DType::f16, decode_f16},
    {30, "BF16", 1, 2, DType::bf16, decode_bf16},
    {2, "Q4_0", 32, 18, {}, decode_codes<codes_q4_0>, codes_q4_0, -8, 7},
    {3, "Q4_1", 32, 20, {}, decode_q4_1},
    {6, "Q5_0", 32, 22, {}, decode_codes<codes_q5_0>, codes_q5_0, -16, 15},
    {7, "Q5_1", 32, 24, {}, decode_q5_1},
    {8, "Q8_0", 32, 34, {}, decode_codes<codes_q8_0>, codes_q8_0, -128, 127},
    {10, "Q2_K", 256, 84, {}, decode_q2_k},
    {11, "Q3_K", 256, 110, {}, decode_q3_k},
    {12, "Q4_K", 256, 144, {}, decode_q4_k},
    {13, "Q5_K", 256, 176, {}, decode_q5_k},
    {14, "Q6_K", 256, 210, {}, decode_q6_k},
    {20, "IQ4_NL", 32, 18, {}, decode_codes<codes_iq4_nl>, codes_iq4_nl, -127, 113},
    {23, "IQ4_XS", 256, 136, {}, decode_iq4_xs},
};

// By number; those with a note were taken out of the format.
constexpr const char* kNames[] = {"F32",
                                  "F16",
                                  "Q4_0",
                                  "Q4_1",
                                  "Q4_2 (removed)",
                                  "Q4_3 (removed)",
                                  "Q5_0",
                                  "Q5_1",
                                  "Q8_0",
                                  "Q8_1",
                                  "Q2_K",
                                  "Q3_K",
                                  "Q4_K",
                                  "Q5_K",
                                  "Q6_K",
                                  "Q8_K",
                                  "IQ2_XXS",
                                  "IQ2_XS",
                                  "IQ3_XXS",
                                  "IQ1_S",
                                  "IQ4_NL",
                                  "IQ3_S",
                                  "IQ2_S",
                                  "IQ4_XS",
                                  "I8",
                                  "I16",
                                  "I32",
                                  "I64",
                                  "F64",
                                  "IQ1_M",
                                  "BF16",
                                  "Q4_0_4_4 (removed)",
                                  "Q4_0_4_8 (removed)",
                                  "Q4_0_8_8 (removed)",
                                  "TQ1_0",
                                  "TQ2_0",
                                  "IQ4_NL_4_4 (removed)",
                                  "IQ4_NL_4_8 (removed)",
                                  "IQ4_NL_8_8 (removed)",
                                  "MXFP4",
                                  "NVFP4",
                                  "Q1_0",
                                  "Q2_0"};

}  // namespace

const GgmlType* ggml_type(uint32_t id) {
  for (const auto& t : kTypes)
    if (t.id == id) return &t;
  return nullptr;
}

std::string ggml_type_name(uint32_t id) {
  return id < std::size(kNames) ? std::string("type ") + kNames[id] : "type " + std::to_string(id);
}

std::string ggml_types_known() {
  std::string names;
  for (const auto& t : kTypes) names += std::string(names.empty() ? "" : ", ") + t.name;
  return names;
}

void ggml_decode(const GgmlType& t, const void* data, int64_t blocks, float* values) {
  const auto* b = static_cast<const uint8_t*>(data);
  if (t.plain == DType::f32) {
    std::memcpy(values, data, blocks * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < blocks; ++i) t.decode(b + i * t.bytes, values + i * t.columns);
}

}  // namespace jet
