// An op set is a machine that runs blocks. A block is written once, as a template over it.
//
// A Tensor holds one row per token; a block sees only what follows the token: [.., C] or [.., heads, dim]. How tokens
// are grouped into sequences, where each sequence stands, and where its state lives is the op set's own business, so
// the same page of equations trains a [B, T] batch and decodes a ragged one.
//
//   linear(x, w, bias)       x [.., in], w [out, in], bias [out] or absent -> [.., out]; also a head at a time
//   map(f, x, y, ...)        elementwise f on tensors and weights, trailing dimensions broadcast as in numpy
//   heads(x, n) / flat(x)    [.., n * d] <-> [.., n, d]
//   slice(x, begin, size)    part of the last dimension
//   repeat_heads(x, n)       [.., h, d] -> [.., h * n, d], each head n times in a row (grouped queries)
//   rms_norm(x, w, eps)      x / sqrt(mean x^2 + eps) * w over the last dimension; w may be absent
//   layer_norm(x, eps)       (x - mean) / sqrt(var + eps) over the last dimension
//   l2_norm(x, eps)          x / sqrt(sum x^2 + eps) over the last dimension
//   sum_last(x)              [.., h, d] -> [.., h, 1]
//   constant(v)              a tensor without tokens, from floats
//   rope(x, r)               rotates x [.., heads, dim] by its token's position (half-split form)
//   shift(x, last)           the previous token's row; `last` carries it between calls
//   short_conv(x, w, bias, tail)    causal depthwise: y_t = sum_j w[:, j] x_(t-W+1+j); w [C, 1, W]
//   dynamic_conv(x, kernels, tail)  the same with a kernel per token; kernels [.., C * W], index c * W + j
//   attention(q, k, v, {scale, window}, keys, values)    causal softmax; window w sees w tokens, itself included
//   recurrence(r, state)     the linear recurrence below
//   first_of_pass(x)         what the first call in this forward pass was given: a value that later layers share
//   embed(ids, w)            rows of w
//   last_rows(x)             the rows whose logits are wanted (all, or each sequence's last)
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <vector>

#include "jet/base/error.h"
#include "jet/tensor/shape.h"

namespace jet {

/// S_t = diag(exp g_t) S_(t-1) + b_t (a_t^T S_(t-1)) + k_t v_t^T,   o_t = scale * S_t^T q_t,   S [heads, K, V] in fp32.
///
/// With beta, the delta rule; a and b stay absent:
///
///   S' = diag(exp g_t) S_(t-1)
///   S_t = S' + beta_t k_t (v_t - S'^T k_t)^T
template <class T>
struct Recurrence {
  T q, k;      // [.., heads, K]
  T v;         // [.., heads, V]
  T g{};       // log decay: absent (none), [heads] (constant), [.., heads] or [.., heads, K]
  T beta{};    // [.., heads] or absent
  T a{}, b{};  // [.., heads, K] or absent
  float scale = 1;
};

/// Rotary embedding: angle of pair i at position p is p * theta^(-2i/dim), rescaled as Llama 3 does where factor > 1.
struct Rope {
  double theta = 10000;
  double factor = 1;  // 1: plain; otherwise "llama3" scaling, with the three numbers below
  double low_freq_factor = 1, high_freq_factor = 4, original_context = 8192;
  template <class V>
  static void fields(Rope& r, V&& v) {
    v("theta", r.theta), v("factor", r.factor), v("low_freq_factor", r.low_freq_factor);
    v("high_freq_factor", r.high_freq_factor), v("original_context", r.original_context);
  }
  /// Frequencies of the dim/2 pairs (transformers modeling_rope_utils.py, _compute_llama3_parameters).
  std::vector<double> frequencies(int dim) const;
  /// Throws on numbers that make no frequencies.
  void check(const std::string& where) const;
};

struct AttentionShape {
  float scale = 1;
  int window = 0;  // 0: full
};

template <class Ops>
concept OpSet = requires(Ops& ops, typename Ops::Tensor x, typename Ops::Weight w, typename Ops::State s) {
  { ops.linear(x, w) } -> std::convertible_to<typename Ops::Tensor>;
  { ops.rms_norm(x, w, 1e-6f) } -> std::convertible_to<typename Ops::Tensor>;
  { ops.heads(x, 2) } -> std::convertible_to<typename Ops::Tensor>;
  { ops.recurrence(Recurrence<typename Ops::Tensor>{}, s) } -> std::convertible_to<typename Ops::Tensor>;
};

template <class Ops>
using TensorOf = typename Ops::Tensor;

}  // namespace jet
