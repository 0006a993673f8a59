// out[t, r] = sum_c x[t, c] w[r, c] with the rows of w as they lie: for a few tokens, and for attention's scores. Part
// of bricks.h. Columns lie in lanes:
//
//   x, kTokens tokens   | c0 c1 .. | ..        a tile's kTokens x kRows sums stay in registers, a vector each:
//   w, kRows rows       | c0 c1 .. | ..          sum[t, r] += x[t, lanes] w[r, lanes]
//                                              whose lanes are added up at the end
//
// Columns are taken kColumns at a time, so that a tile's part of x stays in the L1 cache; one token reads whole rows.
namespace jet::JET_ISA_NAMESPACE {
namespace {

constexpr int64_t kColumns = 2048;
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
      // Rows are short streams: while these are summed, the ones that follow are asked for.
      if constexpr (TOKENS == 1) __builtin_prefetch(w + (ROWS + r) * w_stride + c, 0, 2);
      const Vec wv = load(w + r * w_stride + c);
      for (int t = 0; t < TOKENS; ++t) acc[t * ROWS + r] += xv[t] * wv;
    }
  }
  float s[TOKENS * ROWS];
  sums<TOKENS * ROWS>(acc, s);
  for (; c < cols; ++c) {
    for (int i = 0; i < TOKENS * ROWS; ++i) {
      s[i] = multiply_add(x[i / ROWS * x_stride + c], to_float(w[i % ROWS * w_stride + c]), s[i]);
    }
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
  // One token has few accumulators: twice the rows keep the multipliers busy. Not where rows are a multiple of a page
  // apart: their lines meet in one set of the L1 cache, which holds eight.
  const bool one_set = w_stride * sizeof(W) % 4096 == 0;
  for (; t < n; ++t) {
    const auto at_once = one_set ? rows_of<1, kRows, W> : rows_of<1, 2 * kRows, W>;
    at_once(x + t * x_stride, x_stride, w, w_stride, rows, cols, out + t * out_stride, out_stride);
  }
}

template <class W>
void widen(const W* w, int64_t w_stride, int64_t rows, int64_t cols, float* panel) {
  for (int64_t r = 0; r < rows; ++r, w += w_stride, panel += cols) widen_numbers(w, panel, cols);
}

template <class W>
void matmul_rows(const MatmulTask& m, int64_t row_begin, int64_t row_end) {
  const W* w = static_cast<const W*>(m.w.data);
  const int64_t stride = m.w.cols;
  for (int64_t t = 0; t < m.n; ++t) {
    float* out = m.out + t * m.out_stride;
    for (int64_t r = row_begin; r < row_end; ++r) out[r] = m.bias ? m.bias[r] : 0.0f;
  }
  // One token reads whole rows: streams of memory without turns.
  const int64_t piece = m.n == 1 ? stride : kColumns;
  for (int64_t c = 0; c < stride; c += piece) {
    tokens_by_rows(m.x + c, m.n, m.x_stride, w + row_begin * stride + c, stride, row_end - row_begin,
                   std::min(piece, stride - c), m.out + row_begin, m.out_stride);
  }
}

/// f.template operator()<Core>() for the core that multiplies this; false where rows are multiplied as they lie.
template <class F>
bool with_core(const MatmulTask& m, F&& f) {
  const bool many = m.n > kRowTokens || m.invariant;
#if JET_AMX
  if (m.n > kQuadCoreTokens && m.n <= kMostQuadTokens && is_quantized(m.w.dtype)) {
    if (m.w.dtype == DType::q8) f.template operator()<QuadTileCore<DType::q8>>();
    if (m.w.dtype == DType::q4) f.template operator()<QuadTileCore<DType::q4>>();
    return true;
  }
  if (m.n > kTileTokens && m.w.cols % 2 == 0 && (m.w.dtype == DType::bf16 || is_quantized(m.w.dtype))) {
    f.template operator()<AmxCore>();
    return true;
  }
#endif
  switch (m.w.dtype) {
#if JET_INT_DOT >= 1
    case DType::q8: f.template operator()<QuadCore<DType::q8>>(); return true;
    case DType::q4: f.template operator()<QuadCore<DType::q4>>(); return true;
#else
    case DType::q8:
    case DType::q4: f.template operator()<FloatCore>(); return true;
#endif
#if JET_BF16_DOT
    case DType::bf16:
      if (many && m.w.cols % 2 == 0) {
        f.template operator()<Bf16Core>();
        return true;
      }
      break;
#endif
    default: break;
  }
  if (many) f.template operator()<FloatCore>();
  return many;
}

int64_t matmul_packed_floats(const MatmulTask& m) {
  int64_t n = 0;
  with_core(m, [&]<class Core>() { n = Core::packed_floats(m.n, m.w.cols); });
  return n;
}

void matmul_pack(const MatmulTask& m, int64_t token_begin, int64_t token_end) {
  with_core(m, [&]<class Core>() { pack<Core>(m, token_begin, token_end); });
}

void matmul(const MatmulTask& m, int64_t row_begin, int64_t row_end) {
  if (with_core(m, [&]<class Core>() { gemm<Core>(m, row_begin, row_end); })) return;
  switch (m.w.dtype) {
    case DType::bf16: return matmul_rows<bf16>(m, row_begin, row_end);
    case DType::f16: return matmul_rows<f16>(m, row_begin, row_end);
    default: return matmul_rows<float>(m, row_begin, row_end);
  }
}

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
