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
#include "jet/model/gguf_keys.h"

namespace jet {

/// What of a tensor is taken, and in which order. Of each head of n rows:
///   halves     rope turns neighbours in the file, halves of a head here: rows 0, 2, 4, ... 1, 3, 5, ...
/// Of Gated DeltaNet, where V heads share K heads: in the file V heads belong to K heads 0, 1, ... 0, 1, ..., here to
/// 0, 0, ... 1, 1, ...
///   q_rows, k_rows, v_rows     those of [q | k | v]
///   v_heads, v_columns         rows and columns of all V heads
enum class GgufOrder { same, halves, q_rows, k_rows, v_rows, v_heads, v_columns };
/// What becomes of the numbers x: x - 1 (norms that are used as 1 + w), log(-x) (decays).
enum class GgufNumbers { same, minus_one, log_negative };

/// A tensor's two names, "{}" for the layer's number. Where several are one of ours, the file has the one or the other.
struct GgufTensorName {
  const char *gguf, *ours;
  GgufOrder order = GgufOrder::same;
  GgufNumbers numbers = GgufNumbers::same;
};

struct GgufArchitecture {
  const char* name;  // general.architecture
  /// config.json, without what the tokenizer says. Throws where the keys ask for what cannot be run.
  Json (*config)(const GgufKeys& keys);
  std::array<std::span<const GgufTensorName>, 5> tensors;
};

/// Throws where there is no such architecture here, naming those that are known.
const GgufArchitecture& gguf_architecture(const GgufKeys& keys);

/// The name of a tensor of layer `layer`.
std::string with_layer(const char* name, int layer);

/// "rope_scaling" of config.json: what the keys say, or Llama 3's from the tensor rope_freqs.weight, which holds what
/// each frequency is divided by. Null: plain rope. Throws where no config says the same.
Json gguf_rope_scaling(const GgufKeys& keys, int head_dim, double theta);

}  // namespace jet
