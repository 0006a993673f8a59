// For tests: two layers of attention, small enough to time in a test.
#pragma once

#include "jet/model/spec.h"

namespace jet {

inline ModelSpec tiny() {
  ModelSpec s;
  s.vocab_size = 64, s.hidden_size = 32, s.intermediate_size = 64, s.max_position_embeddings = 128;
  Attention::Config a;
  a.heads = 2, a.kv_heads = 1, a.head_dim = 16;
  s.layers.assign(2, a);
  return s;
}

}  // namespace jet
