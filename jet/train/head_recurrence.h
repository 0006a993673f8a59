// The recurrence over one head of one sequence on the CPU, with its gradients: recurrence.cc's equations, a chunk at a
// time from the first to the last, so that all that a chunk needs stays in the L2 cache.
#pragma once

#include <cstdint>

namespace jet {

/// Rows of one head, `stride` floats between tokens; null where a block does not have them.
struct HeadRows {
  const float* data = nullptr;
  int64_t stride = 0;
};
struct HeadOut {
  float* data = nullptr;
  int64_t stride = 0;
};

/// What a block has of these; `g` is [tokens, K] or [tokens], `beta`, [tokens], that of the delta rule.
template <class Rows>
struct HeadTensors {
  Rows q, k, a, b;  // [tokens, K]
  Rows v;           // [tokens, V]
  Rows g, beta;
};

struct HeadRecurrence : HeadTensors<HeadRows> {
  int64_t tokens = 0, K = 0, V = 0, chunk = 0;
  float scale = 1;
  bool g_vector = false;      // a decay per channel
  const float* s0 = nullptr;  // [K, V] or null: zeros

  int64_t chunks() const { return (tokens + chunk - 1) / chunk; }
};

/// o: [tokens, V]. states: [chunks + 1, K, V], before each chunk and the last. U: [tokens, V], what is written along b;
/// not touched without an erasing term.
void head_forward(const HeadRecurrence& r, HeadOut o, float* states, float* U);

/// What every gradient overwrites; null where not asked for. d_s0: [K, V].
struct HeadGradients : HeadTensors<HeadOut> {
  float* s0 = nullptr;
};
/// d_o: [tokens, V]; d_last: [K, V] or null.
void head_backward(const HeadRecurrence& r, const float* states, const float* U, HeadRows d_o, const float* d_last,
                   const HeadGradients& d);

}  // namespace jet
