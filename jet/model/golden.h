// Golden data: reference outputs of independent implementations, that the engine and the torch path are compared with.
// Names, shapes and metadata in the files say what there is to compare; nothing here knows how long an input is, where
// a run is cut in two or which layer an operator stands in. All tensors but those in brackets must be there.
//
//   a model       a model folder, and in golden.safetensors, for each suffix s ("", "_long", ".65", ...):
//                   input_ids<s> [B, T]   logits<s> [B, T, vocab]   (loss<s> [1])   (greedy_ids<s> [B, n])
//                 after one of these inputs, the traced one:
//                   (hidden.embed, hidden.layer.<i>, hidden.norm [B, T, hidden])    (grad.<parameter>)
//                   (cache.<i>.recurrent_state [B, H, K, V], .conv_state [B, C, W], .key, .value [B, heads, kept, dim])
//   a block       config.json {source_class, constructor, derived}, model.safetensors, and in golden.safetensors:
//                   x, y, dy, dx [B, T, hidden]   grad.<parameter> of sum(y dy)   (v_first, dv_first)
//                   (state_full.<name> after all T tokens)   (state_<n>.<name> after n, from which the rest goes on)
//   an operator   one file, whose metadata has its `rule`: inputs, do, o, final_state, d<input>, and the same with the
//                 suffix _h0 from the state h0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "jet/storage/safetensors.h"

namespace jet {

/// One comparison.
struct VerifyCase {
  std::string name;
  double error = 0, tolerance = 0;  // max abs or relative norm; of greedy ids, the number of tokens that differ
  bool ok = false;
  std::string note{};
};

/// The comparison of `error`, a NaN being no pass.
inline VerifyCase compare(std::string name, double error, double tolerance) {
  return {std::move(name), error, tolerance, error <= tolerance};
}
/// What is compared with nothing, and why.
inline VerifyCase skipped(std::string name, const std::string& why) {
  return {std::move(name), 0, 0, true, "skipped: " + why};
}
/// What could not be compared: its error is infinite.
VerifyCase failed(std::string name, const std::string& why);

enum class GoldenKind { model, block, op };

/// Adds the cases of a folder, or of an operator's file.
using VerifyFn = std::function<void(const std::string& path, GoldenKind kind, std::vector<VerifyCase>& cases)>;

/// The cases of `root`, or of all golden data below it by name, each called "<folder>: <case>". An error ends the cases
/// of its folder alone: it is one failed case more, with the error as its note. Throws Error where there is no golden
/// data at all.
std::vector<VerifyCase> verify_all(const std::string& root, const VerifyFn& verify);

/// One of a model's inputs.
struct GoldenInput {
  std::string suffix;
  int64_t batch = 0, tokens = 0;
};
/// All of them, by suffix. Throws where there are none.
std::vector<GoldenInput> golden_inputs(const SafeTensors& golden);
/// The input that hidden.*, cache.* and grad.* were taken at: the one of their batch and length, which hidden states or
/// the longest cached keys tell, or the one that has a loss. Throws where these are not one input; null where nothing
/// was traced.
const GoldenInput* traced_input(const SafeTensors& golden, const std::vector<GoldenInput>& inputs);

/// Of "cache.<layer>.<kind>": the state's name in our blocks, and whether its first two axes after the batch are
/// swapped there. Throws for a kind that is not known.
struct CacheEntry {
  int layer = 0;
  const char* state = nullptr;
  bool swapped = false;
};
CacheEntry cache_entry(const std::string& name);

}  // namespace jet
