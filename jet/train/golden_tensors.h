// What every comparison of the torch path with golden files needs.
#pragma once

#include <limits>
#include <string>

#include "jet/train/torch_model.h"

namespace jet {

/// Infinite where the shapes differ: libtorch would repeat the smaller one.
inline double max_abs(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() ? (a - b).abs().max().item<double>() : std::numeric_limits<double>::infinity();
}
inline double relative(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  return ((a - b).norm() / b.norm().clamp_min(1e-30)).item<double>();
}

/// A golden file's tensors by name.
struct Golden {
  SafeTensors file;
  explicit Golden(const std::string& path) : file(SafeTensors::open(path)) {}
  bool has(const std::string& name) const { return file.contains(name); }
  at::Tensor at(const std::string& name) const { return to_tensor(file.at(name)); }
};

}  // namespace jet
