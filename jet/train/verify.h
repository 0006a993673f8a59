// The torch path against reference outputs (jet/model/golden.h): forward, states and every gradient.
#pragma once

#include <string>
#include <vector>

#include "jet/model/golden.h"

namespace jet {

/// A model: logits of every input in one chunk, in chunks of 7 and token by token, losses, greedy ids; of the traced
/// input the cache and every gradient.
void verify_torch_model(const std::string& folder, std::vector<VerifyCase>& cases);

/// One block: y, dx, weight gradients, states, and y again with the run cut in two wherever a state is stored. One
/// skipped case where the class, or what its arguments ask of it, is none of our blocks.
void verify_torch_block(const std::string& folder, std::vector<VerifyCase>& cases);

/// One operator, from zeros and from an initial state: outputs, final state, every gradient.
void verify_torch_op(const std::string& path, std::vector<VerifyCase>& cases);

/// All golden data of a tree.
std::vector<VerifyCase> verify_torch(const std::string& golden_dir);

}  // namespace jet
