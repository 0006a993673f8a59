// The linear recurrence of every block (op_set.h) over whole chunks, in matrix form, with its gradients.
#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "jet/blocks/op_set.h"

namespace jet {

/// From state `s0` [B, heads, K, V], or zeros where undefined: {o [B, T, heads, V], final state}, both with gradients
/// in every input (first derivatives only). Sums in fp32, or in fp64 where q is. `chunk` 0: 32 tokens, or fewer where a
/// decay per channel is so steep that an exponent would overflow.
std::pair<at::Tensor, at::Tensor> chunked_recurrence(const Recurrence<at::Tensor>& r, const at::Tensor& s0,
                                                     int64_t chunk = 0);

}  // namespace jet
