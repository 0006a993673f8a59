// Activation checkpointing: of f(x, y) only x and y are kept, and f runs again in the backward pass.
//
//   forward:   outputs = f(x, y), without a graph
//   backward:  outputs = f(x, y), with one; d outputs goes backward through it, to x and y and into the .grad of
//              every parameter that f reads; the graph is freed
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

namespace jet {

using TensorsFn = std::function<std::vector<at::Tensor>(const at::Tensor& x, const at::Tensor& y)>;

/// f is copied, runs twice, and must not change anything; what it refers to must outlive the backward pass. Its outputs
/// have gradients only where x or y wants one; y may be undefined. Parameters get theirs by Tensor::backward(), never
/// by torch::autograd::grad(), which does not look inside.
std::vector<at::Tensor> recomputed(const TensorsFn& f, const at::Tensor& x, const at::Tensor& y = {});

}  // namespace jet
