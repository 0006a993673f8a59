// jet generate MODEL --prompts FILE.jsonl: many prompts at once, by continuous batching.
//
//   in    "text"  |  {"prompt": "text"}  |  {"messages": [...], "tools": [...], ...}
//         an object may have its own sampling: jet/engine/sampling_json.h
//   out   {"index": 0, "text": "...", "ids": [...], "finish": "eos", "prompt_tokens": 7}   a line each, in order;
//         {"index": 0, "error": "..."} where it failed
#pragma once

#include <string>

#include "jet/cli/options.h"
#include "jet/cli/sampling_options.h"

namespace jet {

struct BatchArguments {
  std::string model, prompts, system;
  bool chat = false;
  int64_t batch_bytes = 0;
  SamplingArguments sampling{};
  EngineArguments engine{};
};

/// Prints the results; throws Error, before anything is run, on a line that is wrong.
void generate_batch(const BatchArguments& arguments);

}  // namespace jet
