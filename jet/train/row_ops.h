// Operators that autograd would make of a dozen passes over memory, forward and backward in one each.
//
//   norm          y = x r w             r = (factor sum x^2 + eps)^(-1/2)
//                 dx = r (g - n factor sum g n),   dw = sum over rows of dy n          g = w dy,  n = x r
//   convolution   y_t = sum_j k_t,j x_(t+j)        j < W; the rows before the first one are x's own W - 1 first
//                 dx_s = sum_j k_(s-j),j dy_(s-j),   dk_t,j = dy_t x_(t+j)             the products by channel
//
// In fp32 on the CPU; of other tensors they are the formula, and autograd goes back through it.
#pragma once

#include <ATen/ATen.h>

namespace jet {

/// x [.., D] over its last dimension; w [D] or undefined. factor: 1 / D for RMS, 1 for L2.
at::Tensor norm_rows(const at::Tensor& x, const at::Tensor& w, double factor, double eps);

/// x [B, T + W - 1, C]; kernels [C, W], or [B, T, C, W], one a token. Returns [B, T, C].
at::Tensor convolve_rows(const at::Tensor& x, const at::Tensor& kernels);

}  // namespace jet
