// What a GGUF file of one architecture is as a Hugging Face model: its config.json, and where its tensors go. One entry
// an architecture (gguf_architecture.cc); importing is a walk over it.
//
//   GGUF                            config.json and model.safetensors
//   llama.block_count               "num_hidden_layers"
//   blk.7.attn_q.weight             model.layers.7.self_attn.q_proj.weight    rows in another order
//   blk.7.attn_norm.weight          model.layers.7.input_layernorm.weight     of Gemma: w, where the file has 1 + w
#pragma once

#include <array>
#include <span>
#include <string>

#include "jet/base/json.h"
#include "jet/blocks/block.h"
#include "jet/model/gguf_keys.h"

namespace jet {

/// What becomes of a tensor's numbers. Rope turns neighbours in GGUF files of Llama, halves of a head here: within each
/// head, rows 0, 1, 2, 3 ... come from rows 0, 2, 4 ..., 1, 3, 5 ...
enum class GgufChange { none, halves, minus_one };

/// A tensor's two names, "{}" for the layer's number.
struct GgufTensorName {
  const char *gguf, *ours;
  ParamRole role;
  GgufChange change = GgufChange::none;
};

struct GgufArchitecture {
  const char* name;  // general.architecture
  /// config.json, without what the tokenizer says. Throws where the keys ask for what cannot be run.
  Json (*config)(const GgufKeys& keys);
  std::array<std::span<const GgufTensorName>, 4> tensors;
};

/// Throws where there is no such architecture here, naming those that are known.
const GgufArchitecture& gguf_architecture(const GgufKeys& keys);

/// The name of a tensor of layer `layer`.
std::string with_layer(const char* name, int layer);

/// "rope_scaling" of config.json: what the keys say, or Llama 3's from the tensor rope_freqs.weight, which holds what
/// each frequency is divided by. Null: plain rope. Throws where no config says the same.
Json gguf_rope_scaling(const GgufKeys& keys, int head_dim, double theta);

}  // namespace jet
