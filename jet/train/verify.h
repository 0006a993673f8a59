// The torch path against reference outputs: forward, states and every gradient.
#pragma once

#include <string>
#include <vector>

#include "jet/model/golden.h"

namespace jet {

/// A model folder: logits in one chunk, in chunks of 7 and token by token, loss, gradients, greedy ids, cached states
/// where stored.
std::vector<VerifyCase> verify_torch_model(const std::string& folder);

/// One layer's folder: y, dx, weight gradients, states, and the run split at 40. One skipped case where its class is
/// none of our blocks.
std::vector<VerifyCase> verify_torch_block(const std::string& folder);

/// One operator's file, from zeros and from an initial state: outputs, final state, every gradient.
std::vector<VerifyCase> verify_torch_op(const std::string& path);

/// All golden data of a tree, cases named "<folder>: <case>".
std::vector<VerifyCase> verify_torch(const std::string& golden_dir);

}  // namespace jet
