// A family's names of tensors, turned into ours (spec.h): what reads a checkpoint then finds its parameters wherever the
// family's files have them. Tensors that already have our names stay, so a folder that this program wrote reads alike.
#pragma once

#include <string>
#include <vector>

#include "jet/model/spec.h"
#include "jet/storage/safetensors.h"

namespace jet {

class TensorNames {
 public:
  /// `before`: what stands before every name ("grad." in golden files).
  explicit TensorNames(SafeTensors& tensors, std::string before = "") : tensors_(tensors), before_(std::move(before)) {}

  void rename(const std::string& from, const std::string& to) { tensors_.rename(before_ + from, before_ + to); }
  /// Of all tensors whose names begin with `from`.
  void rename_all(const std::string& from, const std::string& to);
  /// Rows of one tensor under names of their own.
  void split(const std::string& from, std::vector<std::pair<std::string, int64_t>> parts);

 private:
  SafeTensors& tensors_;
  std::string before_;
};

}  // namespace jet
