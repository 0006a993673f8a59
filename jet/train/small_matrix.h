// Products of small fp32 matrices that lie in the caches, on one thread, by the bricks of kernels. Triangular ones go
// a tile of kTile rows at a time, up to the diagonal (of A^T, from there on):
//
//   A   | x . . . |   tiles of 2 rows:   c = A b              c01 = A[01, 01] b01,   c23 = A[23, 0123] b0123
//       | x x . . |
//       | x x x . |                      u = (1 - A)^-1 u     A without a diagonal: u1 += A[1, 0] u0,
//       | x x x x |                                           u23 += A[23, 01] u01,  u3 += A[3, 2] u2
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "jet/kernels/kernels.h"

namespace jet::small {

/// A matrix in memory, its rows `stride` floats apart; without data where a block does not have it.
template <class Float>
struct Mat {
  Float* data = nullptr;
  int64_t rows = 0, columns = 0, stride = 0;

  explicit operator bool() const { return data != nullptr; }
  operator Mat<const Float>() const requires(!std::is_const_v<Float>) { return {data, rows, columns, stride}; }
  Float* row(int64_t i) const { return data + i * stride; }
  /// n rows from `begin` on; of them, m columns from `left` on.
  Mat part(int64_t begin, int64_t n) const { return {row(begin), n, columns, stride}; }
  Mat part(int64_t begin, int64_t n, int64_t left, int64_t m) const { return {row(begin) + left, n, m, stride}; }
};
using In = Mat<const float>;
using Out = Mat<float>;

/// A product's left factor: a matrix as it lies, or its transpose.
struct Left {
  const float* data;
  int64_t rows, columns, row, step;  // number [i, j] is at data + i * row + j * step
  Left(In x) : data(x.data), rows(x.rows), columns(x.columns), row(x.stride), step(1) {}
  Left(Out x) : Left(In(x)) {}
  Left transposed() const {
    Left t = *this;
    std::swap(t.rows, t.columns), std::swap(t.row, t.step);
    return t;
  }
};
inline Left transposed(In x) { return Left(x).transposed(); }

/// c = start c + a b.
inline void product(Out c, float start, const Left& a, In b) {
  kernels().multiply({.a = a.data,
                      .row = a.row,
                      .step = a.step,
                      .b = b.data,
                      .b_stride = b.stride,
                      .c = c.data,
                      .c_stride = c.stride,
                      .k = a.columns,
                      .n = c.columns,
                      .start = start},
                     0, c.rows);
}

constexpr int64_t kTile = 6;  // rows of c that a product makes at once

/// c = start c + A b for a square A without numbers above its diagonal, a tile of rows at a time: what is zero is not
/// multiplied.
inline void lower_product(Out c, float start, In A, In b) {
  for (int64_t i = 0; i < A.rows; i += kTile) {
    const int64_t rows = std::min(kTile, A.rows - i), seen = i + rows;
    product(c.part(i, rows), start, A.part(i, rows, 0, seen), b.part(0, seen));
  }
}
/// c = start c + A^T b, likewise.
inline void lower_transposed_product(Out c, float start, In A, In b) {
  for (int64_t i = 0; i < A.rows; i += kTile) {
    const int64_t rows = std::min(kTile, A.rows - i), below = A.rows - i;
    product(c.part(i, rows), start, transposed(A.part(i, below, i, rows)), b.part(i, below));
  }
}
/// u = (1 - A)^-1 u for A without numbers on its diagonal and above.
inline void solve(Out u, In A) {
  for (int64_t i = 0; i < A.rows; i += kTile) {
    const int64_t rows = std::min(kTile, A.rows - i);
    if (i > 0) product(u.part(i, rows), 1, A.part(i, rows, 0, i), u.part(0, i));
    for (int64_t t = i + 1; t < i + rows; ++t) product(u.part(t, 1), 1, A.part(t, 1, i, t - i), u.part(i, t - i));
  }
}
/// u = (1 - A^T)^-1 u.
inline void solve_transposed(Out u, In A) {
  const int64_t n = A.rows;
  for (int64_t end = n; end > 0; end -= std::min(kTile, end)) {
    const int64_t rows = std::min(kTile, end), i = end - rows;
    if (end < n) product(u.part(i, rows), 1, transposed(A.part(end, n - end, i, rows)), u.part(end, n - end));
    for (int64_t t = end - 2; t >= i; --t) {
      const int64_t below = end - 1 - t;
      product(u.part(t, 1), 1, transposed(A.part(t + 1, below, t, 1)), u.part(t + 1, below));
    }
  }
}

/// out [columns, rows] = the transpose of x.
inline void transpose(In x, Out out) { kernels().transpose(x.data, x.stride, x.rows, x.columns, out.data); }

}  // namespace jet::small
