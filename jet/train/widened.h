// Products with a frozen matrix that lies in fewer bits than it is multiplied in (bf16 as a file holds it):
//   y = x W^T,   dx = dy W       W widened to fp32 a block of rows at a time, never kept
// Autograd's own product would keep the widened copy until the backward pass.
#pragma once

#include <ATen/ATen.h>

namespace jet {

/// x [..., in] fp32, w [out, in] bf16 or fp16, without a gradient of its own -> [..., out] fp32. At most `block`
/// numbers (or one row) of w are widened at once.
at::Tensor widened_linear(const at::Tensor& x, const at::Tensor& w, int64_t block = int64_t{1} << 24);

/// dy [N, out] fp32 times such a w -> [N, in] fp32, without a graph.
at::Tensor widened_times(const at::Tensor& dy, const at::Tensor& w, int64_t block = int64_t{1} << 24);

}  // namespace jet
