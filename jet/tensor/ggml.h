// Tensor types of ggml as GGUF files hold them: rows of whole blocks, a block being scales and packed codes. All
// numbers little-endian; d, m: f16. Codes c of 32 columns "split" hold column j in the low and column 16 + j in the
// high half of byte j; 5-bit codes have their fifth bits, by column, in the u32 h.
//
//   type    columns bytes  block                                              value
//   Q4_0         32    18  d | 16 x c, split                                  d (c - 8)
//   Q4_1         32    20  d m | 16 x c, split                                d c + m
//   Q5_0         32    22  d | h | 16 x c, split                              d (c - 16)
//   Q5_1         32    24  d m | h | 16 x c, split                            d c + m
//   Q8_0         32    34  d | 32 x i8 c                                      d c
//   IQ4_NL       32    18  d | 16 x c, split                                  d table[c]
//   Q2_K        256    84  16 x (4 bits s, 4 bits t) | 64 x c | d m           (d s) c - m t        of 16 columns
//   Q3_K        256   110  32 x h | 64 x c | 12 x s, 6 bits | d               d (s - 32) (c - 4, or c where h)
//   Q4_K        256   144  d m | 12 x (s, t), 6 bits | 128 x c                (d s) c - m t        of 32 columns
//   Q5_K        256   176  d m | 12 x (s, t), 6 bits | 32 x h | 128 x c       (d s) c - m t        of 32 columns
//   Q6_K        256   210  128 x c, low 4 | 64 x c, high 2 | 16 x i8 s | d    d s (c - 32)         of 16 columns
//   IQ4_XS      256   136  d | u16 s, high 2 | 4 x s, low 4 | 128 x c         d (s - 32) table[c]  of 32 columns
//   F32, F16, BF16: plain numbers
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "jet/tensor/dtype.h"

namespace jet {

constexpr int kGgmlGroup = 32;  // columns of one scale in the types that have codes

/// A group of columns that has one scale and no minimum: w = scale code, exactly.
struct GgmlCodes {
  f16 scale;
  std::array<int8_t, kGgmlGroup> codes{};
};

struct GgmlType {
  uint32_t id = 0;
  const char* name = nullptr;
  int64_t columns = 1, bytes = 0;  // of a block
  std::optional<DType> plain{};    // of plain numbers: the same type here
  void (*decode)(const uint8_t* block, float* values) = nullptr;
  GgmlCodes (*codes)(const uint8_t* block) = nullptr;  // null: no such form
  int code_low = 0, code_high = 0;                     // range of the codes
};

/// The type of this number in GGUF files; null where it cannot be read.
const GgmlType* ggml_type(uint32_t id);
/// "type Q4_0", of any type that ggml has or had, or "type 99".
std::string ggml_type_name(uint32_t id);
/// Names of the types that can be read, for errors.
std::string ggml_types_known();

/// `blocks` blocks, one after the other, as blocks * t.columns floats: the values of ggml's own decoder, bit by bit.
void ggml_decode(const GgmlType& t, const void* data, int64_t blocks, float* values);

}  // namespace jet
