// The torch path against reference outputs: forward, states and every gradient.
#pragma once

#include <string>
#include <vector>

namespace jet {

/// One comparison; `ok` is error <= tolerance (a NaN is not).
struct TorchCase {
  std::string name;
  double error = 0, tolerance = 0;
  bool ok() const { return error <= tolerance; }
};

/// A model folder with golden.safetensors (the layout of the goldens' families/ and jet/): logits in one chunk, in
/// chunks of 7 and token by token, loss, hidden states, gradients, greedy ids, cached states where stored.
std::vector<TorchCase> verify_torch_model(const std::string& folder);

/// One layer's folder (the layout of the goldens' blocks/): y, dx, weight gradients, states, and the split run.
std::vector<TorchCase> verify_torch_block(const std::string& folder);

/// Whether the folder is a layer's (its config.json names a source_class), and whether we have that block.
bool is_block_golden(const std::string& folder);
bool block_golden_is_known(const std::string& folder);

}  // namespace jet
