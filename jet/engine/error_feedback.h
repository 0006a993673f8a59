// Rounding a matrix by what it costs in its products: with inputs X, the error e = w - q of a row costs
//
//   |X e|^2 = e H e^T,   H = X^T X = R R^T   (R upper triangular)
//           = sum_j D_j (w_j + sum_(k<j) e_k A_kj - q_j)^2,   D_j = R_jj^2,   A_kj = R_kj / R_jj
//
// so columns are rounded in order, each to what is nearest to its own number plus the errors before it (GPTQ, in the
// form without an inverse: Chee et al., QuIP, arXiv:2307.13304, theorem 6). The sum is separable, so a group's scale is
// found by rounding its columns under each of some scales. Then scales and codes take turns: each is set to what is
// best while all others stay, which only lowers e H e^T.
#pragma once

#include <cstdint>
#include <vector>

#include "jet/base/threads.h"
#include "jet/tensor/dtype.h"

namespace jet {

/// H of one matrix's inputs, ready to round by.
struct RoundingMetric {
  int64_t cols = 0;
  std::vector<float> h;  // [cols, cols], damped
  std::vector<float> a;  // [cols, cols], A above its diagonal
  std::vector<float> d;  // [cols]
  double damping = 0;    // what was added to H's diagonal, as a part of its mean; 0: H says nothing, or is damaged
  bool is_usable() const { return damping > 0; }
};

/// Of h = X^T X [cols, cols]. A hundredth of the diagonal's mean is added to it, more where R does not exist otherwise.
RoundingMetric rounding_metric(std::vector<float> h, int64_t cols, ThreadPool& pool);

/// quantize_panel() of jet/tensor/quant.h by `metric`. Returns e H e^T, summed over the rows.
double quantize_panel(DType t, const float* values, int64_t rows, const RoundingMetric& metric, uint8_t* packed,
                      f16* scales);

}  // namespace jet
