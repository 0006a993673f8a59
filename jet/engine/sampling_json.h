// How a text is to be drawn and where it ends, as JSON says it: in requests to the server and in the lines of
// `jet generate --prompts`.
//
//   {"max_tokens" | "max_completion_tokens" | "max_output_tokens" | "max_new_tokens": 64, "ignore_eos": true,
//    "temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.1, "typical_p": 0.9,
//    "repetition_penalty" | "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": 0.5,
//    "logit_bias": {"11": -2.5}, "seed": 7, "stop": "text" or ["text", ...]}
//
// What is missing or null stays as it was. "top_k" below 0 is "all", a bias of -100 or less is "never", as others have
// it.
#pragma once

#include <string>
#include <vector>

#include "jet/engine/generate.h"

namespace jet {

/// Throws Error, which begins with `where`, on values of another type and on a negative number of tokens; other ranges
/// are check_sampler's.
void read_sampling(const Json& json, const std::string& where, GenerateOptions& options, SamplingSettings& asked);

/// The keys that it reads.
const std::vector<std::string>& sampling_keys();

}  // namespace jet
