// Golden folders: reference outputs of independent implementations, that the engine and the torch path are compared
// with. A model folder also holds golden.safetensors (input_ids, logits, ...); a single layer's folder holds x, y, ...
// and a config.json that names the source_class; an operator is one file whose metadata states its rule.
#pragma once

#include <string>
#include <vector>

namespace jet {

/// One comparison.
struct VerifyCase {
  std::string name;
  double error = 0, tolerance = 0;  // max abs or relative norm; for greedy ids, the number of tokens that differ
  bool ok = false;
  std::string note{};
};

/// The comparison of `error`, a NaN being no pass.
inline VerifyCase compare(std::string name, double error, double tolerance) {
  return {std::move(name), error, tolerance, error <= tolerance};
}

enum class GoldenKind { model, block, op };

struct GoldenFolder {
  std::string path;  // of an operator, its file
  GoldenKind kind;
};

/// `root` itself, or all golden data below it, by name. Throws Error where there is none.
std::vector<GoldenFolder> golden_folders(const std::string& root);

}  // namespace jet
