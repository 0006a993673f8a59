// For tests: four layers of odd sizes, three of one block, one of attention.
#pragma once

#include <string>

#include "jet/model/spec.h"

namespace jet {

/// `window`: of the attention between the blocks; 0: full.
inline ModelSpec test_hybrid(const std::string& kind, int window = 0) {
  ModelSpec s;
  s.vocab_size = 61;
  s.hidden_size = 40;
  s.intermediate_size = 52;
  s.max_position_embeddings = 256;
  Attention::Config a;
  a.heads = 4, a.kv_heads = 2, a.head_dim = 10, a.qkv_bias = true;
  const MixerSpec block = kind == Attention::kind ? MixerSpec(a) : make_mixer(kind, a, {3, 6, 14});
  a.window = window;
  s.layers = {block, a, block, block};
  return s;
}

}  // namespace jet
