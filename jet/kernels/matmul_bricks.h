// out[t, r] = sum_c x[t, c] w[r, c]. Part of bricks.h.
//
// A tile is TOKENS x ROWS dot products whose accumulators stay in registers. Columns are taken kColumns at a time, so
// that a tile's part of x stays in the L1 cache; with more than a few tokens, kWidenedRows rows of w are widened to
// fp32 once and stay in L2 while all tokens pass by.
namespace jet::JET_ISA_NAMESPACE {
namespace {

constexpr int64_t kColumns = 2048, kWidenedRows = 32;
constexpr int kTokens = JET_TILE_TOKENS, kRows = JET_TILE_ROWS;

template <int TOKENS, int ROWS, class W>
JET_INLINE void tile(const float* x, int64_t x_stride, const W* w, int64_t w_stride, int64_t cols, float* out,
                     int64_t out_stride) {
  Vec acc[TOKENS * ROWS] = {};
  int64_t c = 0;
  for (; c + kLanes <= cols; c += kLanes) {
    Vec xv[TOKENS];
    for (int t = 0; t < TOKENS; ++t) xv[t] = load(x + t * x_stride + c);
    for (int r = 0; r < ROWS; ++r) {
      const Vec wv = load(w + r * w_stride + c);
      for (int t = 0; t < TOKENS; ++t) acc[t * ROWS + r] += xv[t] * wv;
    }
  }
  float s[TOKENS * ROWS];
  sums<TOKENS * ROWS>(acc, s);
  for (; c < cols; ++c) {
    for (int i = 0; i < TOKENS * ROWS; ++i) s[i] += x[i / ROWS * x_stride + c] * to_float(w[i % ROWS * w_stride + c]);
  }
  for (int i = 0; i < TOKENS * ROWS; ++i) out[i / ROWS * out_stride + i % ROWS] += s[i];
}

/// TOKENS tokens against all rows, a column block's worth.
template <int TOKENS, int ROWS, class W>
JET_INLINE void rows_of(const float* x, int64_t x_stride, const W* w, int64_t w_stride, int64_t rows, int64_t cols,
                        float* out, int64_t out_stride) {
  int64_t r = 0;
  for (; r + ROWS <= rows; r += ROWS)
    tile<TOKENS, ROWS>(x, x_stride, w + r * w_stride, w_stride, cols, out + r, out_stride);
  for (; r < rows; ++r) tile<TOKENS, 1>(x, x_stride, w + r * w_stride, w_stride, cols, out + r, out_stride);
}

template <class W>
void tokens_by_rows(const float* x, int64_t n, int64_t x_stride, const W* w, int64_t w_stride, int64_t rows,
                    int64_t cols, float* out, int64_t out_stride) {
  int64_t t = 0;
  for (; t + kTokens <= n; t += kTokens) {
    rows_of<kTokens, kRows>(x + t * x_stride, x_stride, w, w_stride, rows, cols, out + t * out_stride, out_stride);
  }
  // One token has few accumulators: twice the rows keep the multipliers busy.
  for (; t < n; ++t) {
    rows_of<1, 2 * kRows>(x + t * x_stride, x_stride, w, w_stride, rows, cols, out + t * out_stride, out_stride);
  }
}

template <class W>
void widen(const W* w, int64_t w_stride, int64_t rows, int64_t cols, float* panel) {
  for (int64_t r = 0; r < rows; ++r, w += w_stride, panel += cols) {
    int64_t c = 0;
    for (; c + kLanes <= cols; c += kLanes) store(panel + c, load(w + c));
    for (; c < cols; ++c) panel[c] = to_float(w[c]);
  }
}

template <class W>
void matmul_typed(const MatmulTask& m) {
  const W* w = static_cast<const W*>(m.w.data);
  const int64_t stride = m.w.cols;
  for (int64_t t = 0; t < m.n; ++t) {
    float* out = m.out + t * m.out_stride;
    for (int64_t r = m.row_begin; r < m.row_end; ++r) out[r] = m.bias ? m.bias[r] : 0.0f;
  }
  const bool panels = !std::is_same_v<W, float> && m.n > kTokens;
  static thread_local Scratch scratch;
  float* panel = panels ? scratch.floats(kWidenedRows * std::min(kColumns, stride)) : nullptr;
  for (int64_t c = 0; c < stride; c += kColumns) {
    const int64_t cols = std::min(kColumns, stride - c);
    for (int64_t r = m.row_begin; r < m.row_end; r += kWidenedRows) {
      const int64_t rows = std::min(kWidenedRows, m.row_end - r);
      const W* from = w + r * stride + c;
      if (panels) {
        widen(from, stride, rows, cols, panel);
        tokens_by_rows(m.x + c, m.n, m.x_stride, panel, cols, rows, cols, m.out + r, m.out_stride);
      } else {
        tokens_by_rows(m.x + c, m.n, m.x_stride, from, stride, rows, cols, m.out + r, m.out_stride);
      }
    }
  }
}

void matmul(const MatmulTask& m) {
  switch (m.w.dtype) {
    case DType::bf16: return matmul_typed<bf16>(m);
    case DType::f16: return matmul_typed<f16>(m);
    default: return matmul_typed<float>(m);
  }
}

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
