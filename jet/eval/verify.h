// Checks the engine against golden folders: a model folder that also holds golden.safetensors with
//   input_ids<s> [B, T], logits<s> [B, T, V], greedy_ids<s> [B, n]     for each suffix s ("", "_long", ".65", ...)
//   hidden.embed, hidden.layer.<i>, hidden.norm [B, T, hidden]         for the input of the same B and T
//   cache.<i>.recurrent_state [B, H, K, V], .conv_state [B, C, W], .key, .value [B, kv_heads, kept, dim]   after it
// (all but input_ids and logits may be absent).
#pragma once

#include <string>
#include <vector>

#include "jet/model/golden.h"

namespace jet {

/// Of a golden folder, or of all below it; single layers are left out. Throws Error where there is no golden folder.
std::vector<VerifyCase> verify_engine(const std::string& golden_dir);

}  // namespace jet
