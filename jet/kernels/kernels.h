// Bricks of the CPU engine: a few loops in which all of its time goes. They are written once (*_bricks.h, over vectors
// of kLanes floats) and compiled once for each instruction set (isa_*.cc); kernels() picks the best that this machine
// runs. Sums are in fp32, in an order that depends on the shapes and on the number of tokens alone: few tokens go other
// ways than many. In invariant tasks, on exact_kernels(), all go one way: a token's row comes out the same to the bit
// whatever is computed beside it.
//
// Every brick does its part of a job on one thread; the caller splits rows, heads or columns among threads.
#pragma once

#include <cstdint>
#include <vector>

#include "jet/tensor/dtype.h"
#include "jet/tensor/formula.h"
#include "jet/tensor/quant.h"

namespace jet {

struct Matrix {
  DType dtype = DType::f32;  // f32, bf16, f16: rows as they lie; q8, q4: packed (tensor/quant.h), cols % 32 == 0
  const void* data = nullptr;
  int64_t rows = 0, cols = 0;
  const void* scales = nullptr;  // q8, q4
};

/// Rows [begin, begin + rows) of w; of packed weights begin is a multiple of kPanelRows.
inline Matrix rows_of(const Matrix& w, int64_t begin, int64_t rows) {
  const int64_t bytes =
      is_quantized(w.dtype) ? packed_bytes(w.dtype, begin, w.cols) : matrix_bytes(w.dtype, begin, w.cols);
  const auto* scales = static_cast<const f16*>(w.scales);
  return {w.dtype, static_cast<const std::byte*>(w.data) + bytes, rows, w.cols,
          scales ? scales + scale_count(begin, w.cols) : nullptr};
}

/// out[t, r] = sum_c x[t, c] w[r, c] + bias[r].
/// Moves matrix_bytes(w) for 2 * n * rows * cols FLOP. Where packed_floats() is not 0, pack() first makes `packed` from
/// x, for all tokens; tasks with the same x, n, cols and weight type can share it.
struct MatmulTask {
  const float* x = nullptr;  // [n, cols], rows x_stride apart
  int64_t n = 0, x_stride = 0;
  Matrix w{};
  const float* bias = nullptr;  // [rows] or null
  float* out = nullptr;         // [n, rows], rows out_stride apart
  int64_t out_stride = 0;
  float* packed = nullptr;
  bool invariant = false;
};
/// Parts of a job start at multiples of these.
constexpr int64_t kPackTokens = 24, kRowUnit = 32;

/// Consecutive tokens' keys and values of one head, row after row.
struct KeySpan {
  const void* keys = nullptr;    // [count, dim]
  const void* values = nullptr;  // [count, dim]
  int64_t count = 0;
  const float *key_scales = nullptr, *value_scales = nullptr;  // [count], i8 only: number = scale * stored
};

/// Causal softmax attention of `tokens` x `group` queries against one head of keys, blockwise with a running maximum.
/// The query at position p sees the keys at (p - window, p], or [first_key, p] where window is 0; it sees at least one.
/// Moves the visible keys and values once for all queries, for 4 * dim FLOP a query and key.
struct AttendTask {
  const float* q = nullptr;  // [tokens, .., group, dim], tokens q_stride apart
  float* out = nullptr;      // the same, out_stride apart
  int64_t q_stride = 0, out_stride = 0, tokens = 0, group = 1, dim = 0;
  float scale = 1;
  int64_t window = 0;
  int64_t first_query = 0, first_key = 0;  // positions of the first token and of the first key
  DType dtype = DType::f32;                // of keys and values: f32, bf16 or i8
  const KeySpan* spans = nullptr;          // oldest first, without gaps
  int n_spans = 0;
  float* log_sum = nullptr;  // [tokens * group] or null: log of the softmax's denominator, to merge parts of the keys
  bool invariant = false;
};

/// jet/blocks/op_set.h's recurrence over `tokens` tokens of one head, columns [column_begin, column_end) of V: columns
/// never meet, so a head can be split among threads. q, k, a, b, vector g: [K] a token; v, out: [V]; scalar g, beta:
/// one.
struct RecurrenceTask {
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  const float *g = nullptr, *beta = nullptr, *a = nullptr, *b = nullptr;
  // Floats between one token and the next. g_stride 0: the same decay for every token.
  int64_t q_stride = 0, k_stride = 0, v_stride = 0, g_stride = 0, beta_stride = 0, a_stride = 0, b_stride = 0;
  bool g_vector = false;
  float scale = 1;
  float* out = nullptr;
  int64_t out_stride = 0;
  float* state = nullptr;  // [K, V]
  int64_t tokens = 0, K = 0, V = 0, column_begin = 0, column_end = 0;
  bool invariant = false;
};

/// c[i, :] = start c[i, :] + sum_l a[i, l] b[l, :] of small fp32 matrices that lie in the caches. `a` is read at
/// a + i * row + l * step: it can be the transpose of what is stored. Bound by FMA.
struct SmallProduct {
  const float* a = nullptr;
  int64_t row = 0, step = 1;
  const float* b = nullptr;
  int64_t b_stride = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  int64_t k = 0, n = 0;  // columns of a, of c
  float start = 0;       // times what is there; 0 does not read it
};

enum class Gate { silu, gelu_tanh };

/// out[i] = the formula of in[0][i], in[1][i], ..; its functions are exact to some 2e-7 of what they add up.
struct MapTask {
  const Formula::Instruction* code = nullptr;
  int64_t steps = 0;
  int result = 0;
  const float* const* in = nullptr;  // [arguments][n]
  float* out = nullptr;
  int64_t n = 0;
};

struct Kernels {
  const char* name;
  int64_t (*packed_floats)(const MatmulTask&);
  void (*pack)(const MatmulTask&, int64_t token_begin, int64_t token_end);
  void (*matmul)(const MatmulTask&, int64_t row_begin, int64_t row_end);
  void (*attend)(const AttendTask&);
  void (*recurrence)(const RecurrenceTask&);
  /// Rows [row_begin, row_end) of c.
  void (*multiply)(const SmallProduct&, int64_t row_begin, int64_t row_end);
  /// out [columns, rows] = the transpose of x [rows, columns], rows `stride` floats apart.
  void (*transpose)(const float* x, int64_t stride, int64_t rows, int64_t columns, float* out);
  /// x[i] = e^x[i] for x in [-87, 88], relative error below 2e-7; what is smaller counts as -87.
  void (*exponentials)(float* x, int64_t n);
  /// out[i] = gate(g[i]) u[i], relative error below 1e-6 + 2.4e-7 |y| where e^-y is taken. A number does not depend on
  /// the ones beside it.
  void (*gated)(Gate gate, const float* g, const float* u, float* out, int64_t n);
  /// A number does not depend on the ones beside it.
  void (*map)(const MapTask&);
  void (*widen)(const bf16* x, float* out, int64_t n);
  void (*round)(const float* x, bf16* out, int64_t n);  // to the nearest
};

/// All that this machine runs, best first; the last one runs everywhere.
const std::vector<const Kernels*>& all_kernels();
/// The first of them, or the one that JET_ISA names.
const Kernels& kernels();
/// kernels(), or the best after it that keeps activations in fp32 beside bf16 weights (BF16 and AMX round them): for
/// comparisons with references in fp32.
const Kernels& exact_kernels();

}  // namespace jet
