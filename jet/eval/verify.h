// The engine against reference outputs (jet/model/golden.h): logits in one chunk, in chunks of 7 and token by token,
// all rows as one batch; greedy ids; of the traced input hidden states and the cache.
#pragma once

#include <string>
#include <vector>

#include "jet/model/golden.h"

namespace jet {

/// Of a golden folder, or of all below it; blocks and operators are left out. Throws Error where there is none.
std::vector<VerifyCase> verify_engine(const std::string& golden_dir);

}  // namespace jet
