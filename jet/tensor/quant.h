// Weights in blocks of 32 columns with one scale each: int8 (8.5 bits a weight) and int4 (4.5 bits), packed as the
// kernels read them. A matrix [rows, cols] is cut into panels of 16 rows (the last one padded with zeros) and groups of
// 32 columns; cols is a multiple of 32. Rows lie in the lanes of a vector, columns come in quads:
//
//   scales  f16 [panels][groups][16 rows]                       w = scale * (u - zero)
//   int8    u8  [panels][groups][8 quads][16 rows][4 columns]   zero 128, u in 1..255
//   int4    u8  [panels][groups][4 pairs][16 rows][4 columns]   zero 8, u in 0..15: byte (pair, row, i) holds column
//                                                               8 pair + i in its low half, 8 pair + 4 + i in its high
// On disk: tensor "<name>" (U8, one dimension) and "<name>.scales" (F16, [panels, groups, 16]).
#pragma once

#include <cstdint>

#include "jet/tensor/dtype.h"

namespace jet {

constexpr int64_t kPanelRows = 16, kGroupColumns = 32;

constexpr bool is_quantized(DType t) { return t == DType::q8 || t == DType::q4; }
constexpr int64_t panels_of(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }
/// Bytes of the packed numbers of a quantized matrix, without scales.
constexpr int64_t packed_bytes(DType t, int64_t rows, int64_t cols) {
  return panels_of(rows) * kPanelRows * cols / (t == DType::q4 ? 2 : 1);
}
/// How many f16 scales it has.
constexpr int64_t scale_count(int64_t rows, int64_t cols) {
  return panels_of(rows) * kPanelRows * (cols / kGroupColumns);
}

/// Bytes of a matrix of any weight type as it lies in memory, scales included.
constexpr int64_t matrix_bytes(DType t, int64_t rows, int64_t cols) {
  if (is_quantized(t)) return packed_bytes(t, rows, cols) + 2 * scale_count(rows, cols);
  return rows * cols * static_cast<int64_t>(size_of(t));
}

/// Quantizes one panel: `values` are its `rows` (at most 16) rows of `cols` finite floats, one after the other;
/// `packed` and `scales` are the panel's own part of the matrix. Each group gets the f16 scale of least squared error
/// among those tried. Panels do not depend on each other.
void quantize_panel(DType t, const float* values, int64_t rows, int64_t cols, uint8_t* packed, f16* scales);

/// Puts the codes of 32 columns (int8: -127..127, int4: -8..7) into their group, as a panel's row `row` of 16.
void pack_group(DType t, const int8_t* codes, int64_t row, uint8_t* group);

/// Row `row` of a quantized matrix as `cols` floats; `packed` and `scales` are the whole matrix.
void dequantize_row(DType t, const void* packed, const void* scales, int64_t cols, int64_t row, float* out);

}  // namespace jet
