// What the CPU op set computes with: tensors of one row a token, weights as they are stored, states by index.
#pragma once

#include <cstdint>

#include "jet/base/error.h"
#include "jet/engine/cpu/arena.h"
#include "jet/tensor/dtype.h"
#include "jet/tensor/shape.h"

namespace jet {

/// The sizes that follow the token: [C] or [heads, dim].
struct Dims {
  int rank = 1;
  int64_t outer = 1, inner = 1;  // outer is 1 where rank is 1
  static Dims of(int64_t c) { return {1, 1, c}; }
  static Dims of(int64_t heads, int64_t dim) { return {2, heads, dim}; }
  int64_t count() const { return outer * inner; }
};

/// Rows `stride` floats apart (a slice is a view); inside a row all is contiguous. Without tokens: one row for all.
struct CpuTensor {
  float* data = nullptr;  // [rows, outer, inner]; null: absent
  int64_t rows = 0, stride = 0;
  bool tokens = true;
  Dims dims;
  Buffer buffer;
  float* row(int64_t t) const { return data + (tokens ? t * stride : 0); }
  explicit operator bool() const { return data != nullptr; }
};

/// A parameter: matrices in their stored type, everything else in fp32.
struct CpuWeight {
  DType dtype = DType::f32;
  const void* data = nullptr;  // null: absent
  Dims dims;
  const void* scales = nullptr;  // f16, where the type is q8 or q4 (jet/tensor/quant.h)
  const float* floats() const {
    require(dtype == DType::f32, "a weight of type {} is used where fp32 is wanted", name_of(dtype));
    return static_cast<const float*>(data);
  }
  explicit operator bool() const { return data != nullptr; }

  /// Sizes of 1 drop out, except in matrices: a depthwise kernel [C, 1, W] is [C, W], a mix [1, 1, C] is [C].
  static Dims dims_of(const Shape& shape) {
    Shape s = shape;
    if (s.size() != 2) std::erase(s, 1);
    require(s.size() <= 2, "a parameter of shape {} has too many dimensions", to_string(shape));
    if (s.empty()) return Dims::of(1);
    return s.size() == 1 ? Dims::of(s[0]) : Dims::of(s[0], s[1]);
  }
};

/// Which of a sequence's stores.
struct CpuState {
  int index = -1;
};

}  // namespace jet
