// An op set is a machine that runs blocks. A block is written once, as a template over it.
//
// A Tensor holds one row per token; a block sees only what follows the token: [.., C] or [.., heads, dim]. How tokens
// are grouped into sequences, where each sequence stands, and where its state lives is the op set's own business, so
// the same page of equations trains a [B, T] batch and decodes a ragged one.
//
//   linear(x, w)                    x [.., in], w [out, in] -> [.., out]; x [.., heads, in]: a head at a time
//   linear(x, w, bias)              the same + bias [out], which may be absent
//   map(f, x, y, ...)               elementwise f (a FormulaNumber's lambda: jet/blocks/math.h) on tensors and weights,
//                                   trailing dimensions broadcast as in numpy
//   heads(x, n)                     [.., n * d] -> [.., n, d]; also of a weight [n * d]
//   flat(x)                         [.., n, d] -> [.., n * d]
//   slice(x, begin, size)           part of the last dimension of [.., C] or [.., n, d]
//   repeat_heads(x, n)              [.., h, d] -> [.., h * n, d], each head n times in a row (grouped queries)
//   rms_norm(x, w, eps)             x / sqrt(mean x^2 + eps) * w over the last dimension; w may be absent
//   layer_norm(x, eps)              (x - mean) / sqrt(var + eps) over the last dimension
//   l2_norm(x, eps)                 x / sqrt(sum x^2 + eps) over the last dimension
//   sum_last(x)                     [.., h, d] -> [.., h, 1]
//   constant(v)                     a tensor [C] without tokens, from floats
//   rope(x, r)                      rotates x [.., heads, dim] by its token's position (half-split form); with r.dims
//                                   the first so many channels alone
//   shift(x, last)                  the previous token's row; `last` carries it between calls
//   short_conv(x, w, bias, tail)    causal depthwise: y_t = bias + sum_j w[:, j] x_(t-W+1+j); w [C, 1, W]
//   dynamic_conv(x, kernels, tail)  the same with a kernel per token; kernels [.., C * W], index c * W + j
//   attention(q, k, v, {scale, window, sinks}, keys, values)
//                                   causal softmax; a window of w sees w tokens, itself included, and the text's first
//                                   `sinks`
//   recurrence(r, state)            the linear recurrence below
//   first_of_pass(x)                what its first call in this pass was given: a value that later layers share
//   embed(ids, w)                   rows of w; begins a pass
//   last_rows(x)                    the rows whose logits are wanted (all, or each sequence's last)
//
// Tensor{} and Weight{} are absent ones. The concept OpSet below names every op; each op set is asserted against it.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jet/base/error.h"
#include "jet/tensor/shape.h"

namespace jet {

/// The linear recurrence (docs/design.md has its symbols), S [heads, K, V] in fp32:
///   S_t = D_t S_(t-1) + b_t u_t^T + k_t v_t^T,   u_t = S_(t-1)^T a_t,   o_t = scale S_t^T q_t,   D_t = diag(exp g_t)
/// With beta the delta rule, a and b absent:
///   S_t = D_t S_(t-1) + beta_t k_t u_t^T,        u_t = v_t - (D_t S_(t-1))^T k_t
template <class T>
struct Recurrence {
  T q, k;      // [.., heads, K]
  T v;         // [.., heads, V]
  T g{};       // log decay: absent (none), [heads] (constant), [.., heads] or [.., heads, K]
  T beta{};    // [.., heads] or absent
  T a{}, b{};  // [.., heads, K] or absent
  float scale = 1;
};

/// Rotary embedding: angle of pair i at position p is p * theta^(-2i/dims), rescaled as Llama 3 does where factor > 1,
/// divided by divide[i] where there are divisors (linear, yarn, longrope). What turns is multiplied by `magnitude`.
struct Rope {
  double theta = 10000;
  double factor = 1;  // 1: plain; otherwise "llama3" scaling, with the three numbers below
  double low_freq_factor = 1, high_freq_factor = 4, original_context = 8192;
  std::optional<int> dims{};  // channels that turn; none: all
  std::optional<double> magnitude{};
  std::optional<std::vector<double>> divide{};  // one a pair
  template <class V>
  static void fields(Rope& r, V&& v) {
    v("theta", r.theta), v("factor", r.factor), v("low_freq_factor", r.low_freq_factor);
    v("high_freq_factor", r.high_freq_factor), v("original_context", r.original_context);
    v("dims", r.dims), v("magnitude", r.magnitude), v("divide", r.divide);
  }
  bool operator==(const Rope&) const = default;
  /// Of all channels, by theta and Llama 3's factor alone.
  bool is_whole() const { return !dims && !magnitude && !divide; }
  /// Channels that turn of heads of `dim`.
  int turning(int64_t dim) const { return dims.value_or(static_cast<int>(dim)); }
  /// Frequencies of the dim/2 pairs that turn (transformers modeling_rope_utils.py, _compute_llama3_parameters).
  std::vector<double> frequencies(int dim) const;
  /// Throws on numbers that make no frequencies for heads of `dim`.
  void check(int dim, const std::string& where) const;
};

struct AttentionShape {
  float scale = 1;
  int window = 0;  // 0: full
  int sinks = 0;   // first tokens that a window sees, too
  /// Keys that a query sees at most; 0: all.
  int reach() const { return window > 0 ? window + sinks : 0; }
};

/// For the concept: any formula, of any number of numbers.
struct AnyFormula {
  template <class T, class... Rest>
  T operator()(T first, Rest...) const {
    return first;
  }
};

/// The whole contract of an op set; what each op does stands above.
template <class Ops, class T = typename Ops::Tensor, class W = typename Ops::Weight>
concept OpSet = std::default_initializable<T> && std::default_initializable<W> &&
    requires(Ops& ops, const T x, const W w, typename Ops::State s, const typename Ops::Ids ids, AnyFormula f,
             const std::vector<float> values, const Rope rope, const AttentionShape shape, const Recurrence<T> r,
             int64_t n, float eps) {
  { ops.linear(x, w) } -> std::same_as<T>;
  { ops.linear(x, w, w) } -> std::same_as<T>;
  { ops.map(f, x) } -> std::same_as<T>;
  { ops.map(f, x, w) } -> std::same_as<T>;
  { ops.map(f, w, x, x) } -> std::same_as<T>;
  { ops.heads(x, n) } -> std::same_as<T>;
  { ops.heads(w, n) } -> std::same_as<T>;
  { ops.flat(x) } -> std::same_as<T>;
  { ops.slice(x, n, n) } -> std::same_as<T>;
  { ops.repeat_heads(x, n) } -> std::same_as<T>;
  { ops.rms_norm(x, w, eps) } -> std::same_as<T>;
  { ops.layer_norm(x, eps) } -> std::same_as<T>;
  { ops.l2_norm(x, eps) } -> std::same_as<T>;
  { ops.sum_last(x) } -> std::same_as<T>;
  { ops.constant(values) } -> std::same_as<T>;
  { ops.rope(x, rope) } -> std::same_as<T>;
  { ops.shift(x, s) } -> std::same_as<T>;
  { ops.short_conv(x, w, w, s) } -> std::same_as<T>;
  { ops.dynamic_conv(x, x, s) } -> std::same_as<T>;
  { ops.attention(x, x, x, shape, s, s) } -> std::same_as<T>;
  { ops.recurrence(r, s) } -> std::same_as<T>;
  { ops.first_of_pass(x) } -> std::same_as<T>;
  { ops.embed(ids, w) } -> std::same_as<T>;
  { ops.last_rows(x) } -> std::same_as<T>;
};

template <class Ops>
using TensorOf = typename Ops::Tensor;

}  // namespace jet
