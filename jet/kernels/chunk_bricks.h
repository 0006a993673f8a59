// The linear recurrence with one decay a head and no general erasing, a chunk of C tokens at a time in matrix form: for
// prefill. Part of bricks.h. With docs/design.md's symbols, S the state before the chunk and S' after it:
//   w_i = v_i                                                                                       additive
//   w_i = beta_i u_i = beta_i (v_i - e^(G_i) S^T k_i - sum_(j<i) e^(G_i - G_j) (k_i . k_j) w_j)     delta rule
//   o_i = scale (e^(G_i) S^T q_i + sum_(j<=i) e^(G_i - G_j) (q_i . k_j) w_j)
//   S'  = e^(G_C) S + sum_j e^(G_C - G_j) k_j w_j^T
// Token by token every product is bound by loading and storing S from the L1 cache; here S is read twice and written
// once a chunk. (Gated DeltaNet, arXiv 2412.06464, section 3.3; DeltaNet, arXiv 2406.06484, section 3.2.)
namespace jet::JET_ISA_NAMESPACE {
namespace {

constexpr int64_t kChunk = 32;

template <int T, int WIDE>
JET_INLINE void small_tile(const SmallProduct& p, int64_t i, int64_t col) {
  Vec acc[T][WIDE];
  for (int t = 0; t < T; ++t) {
    for (int w = 0; w < WIDE; ++w) {
      acc[t][w] = p.start == 0 ? Vec{} : p.start * load(p.c + (i + t) * p.c_stride + col + w * kLanes);
    }
  }
  const float *a = p.a + i * p.row, *b = p.b + col;
  for (int64_t k = 0; k < p.k; ++k, a += p.step, b += p.b_stride) {
    Vec row[WIDE];
    for (int w = 0; w < WIDE; ++w) row[w] = load(b + w * kLanes);
    for (int t = 0; t < T; ++t) {
      const Vec x = broadcast(a[t * p.row]);
      for (int w = 0; w < WIDE; ++w) acc[t][w] += x * row[w];
    }
  }
  for (int t = 0; t < T; ++t) {
    for (int w = 0; w < WIDE; ++w) store(p.c + (i + t) * p.c_stride + col + w * kLanes, acc[t][w]);
  }
}

/// Rows [begin, end) of c.
void multiply_rows(const SmallProduct& p, int64_t begin, int64_t end) {
  each_tile<6>(begin, end, [&]<int T>(int64_t i) {
    int64_t col = 0;
    for (; col + 2 * kLanes <= p.n; col += 2 * kLanes) small_tile<T, 2>(p, i, col);
    for (; col + kLanes <= p.n; col += kLanes) small_tile<T, 1>(p, i, col);
    for (; col < p.n; ++col) {
      for (int t = 0; t < T; ++t) {
        float* c = p.c + (i + t) * p.c_stride + col;
        float sum = p.start == 0 ? 0.0f : p.start * *c;
        for (int64_t k = 0; k < p.k; ++k) sum += p.a[(i + t) * p.row + k * p.step] * p.b[k * p.b_stride + col];
        *c = sum;
      }
    }
  });
}

void transpose_floats(const float* x, int64_t stride, int64_t rows, int64_t columns, float* out) {
  const int64_t whole_rows = rows / kLanes * kLanes, whole_columns = columns / kLanes * kLanes;
  transpose_squares(x, stride, rows, columns, out, rows);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j) out[j * rows + i] = x[i * stride + j];
  }
}

void exponentials(float* x, int64_t n) {
  for (; n >= kLanes; n -= kLanes, x += kLanes) store(x, exp_to_88(load(x)));
  for (; n > 0; --n, ++x) *x = exp_to_88(*x);
}

struct ChunkScratch {
  float* w;                  // [kChunk, columns]
  float* transposed;         // [K, kChunk]: keys
  float *erase, *read;       // [kChunk, kChunk]: the factors of w_j in w_i and in o_i
  float *decay, *remaining;  // [kChunk]: e^(G_i), e^(G_C - G_i)
  float* scaled;             // [kChunk, K]: keys times `remaining`
};

/// The lower triangle of m times e^(G_i - G_j) and a row's factor; the diagonal stays only in `read`.
void decay_triangle(float* m, const float* sums, const float* factor, int64_t n, bool diagonal) {
  for (int64_t i = 0; i < n; ++i) {
    float* row = m + i * kChunk;
    const int64_t end = diagonal ? i + 1 : i;
    for (int64_t j = 0; j < end; ++j) row[j] *= (factor ? factor[i] : 1.0f) * exp_to_88(sums[i] - sums[j]);
    for (int64_t j = end; j < n; ++j) row[j] = 0;
  }
}

void recurrence_chunk(const RecurrenceTask& r, int64_t t0, int64_t n, const ChunkScratch& f) {
  const float *q = r.q + t0 * r.q_stride, *k = r.k + t0 * r.k_stride;
  const int64_t columns = r.column_end - r.column_begin;
  float *state = r.state + r.column_begin, *out = r.out + t0 * r.out_stride + r.column_begin;
  float sums[kChunk], betas[kChunk];
  for (int64_t i = 0; i < n; ++i) {
    sums[i] = (i > 0 ? sums[i - 1] : 0.0f) + (r.g ? r.g[(t0 + i) * r.g_stride] : 0.0f);
    f.decay[i] = exp_to_88(sums[i]);
    if (r.beta) betas[i] = r.beta[(t0 + i) * r.beta_stride];
  }
  for (int64_t i = 0; i < n; ++i) {
    f.remaining[i] = exp_to_88(sums[n - 1] - sums[i]);
    for (int64_t c = 0; c < r.K; ++c) {
      f.transposed[c * kChunk + i] = k[i * r.k_stride + c];
      f.scaled[i * r.K + c] = k[i * r.k_stride + c] * f.remaining[i];
    }
  }
  multiply_rows({q, r.q_stride, 1, f.transposed, kChunk, f.read, kChunk, r.K, n, 0}, 0, n);
  decay_triangle(f.read, sums, nullptr, n, true);

  const float* v = r.v + t0 * r.v_stride + r.column_begin;
  if (r.beta) {
    multiply_rows({k, r.k_stride, 1, f.transposed, kChunk, f.erase, kChunk, r.K, n, 0}, 0, n);
    decay_triangle(f.erase, sums, betas, n, false);
    multiply_rows({k, r.k_stride, 1, state, r.V, f.w, columns, r.K, columns, 0}, 0, n);
    for (int64_t i = 0; i < n; ++i) {
      float* w = f.w + i * columns;
      for (int64_t c = 0; c < columns; ++c) w[c] = betas[i] * (v[i * r.v_stride + c] - f.decay[i] * w[c]);
      for (int64_t j = 0; j < i; ++j) f.erase[i * kChunk + j] = -f.erase[i * kChunk + j];
      multiply_rows({f.erase + i * kChunk, kChunk, 1, f.w, columns, w, columns, i, columns, 1}, 0, 1);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) std::memcpy(f.w + i * columns, v + i * r.v_stride, columns * sizeof(float));
  }

  multiply_rows({q, r.q_stride, 1, state, r.V, out, r.out_stride, r.K, columns, 0}, 0, n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < columns; ++c) out[i * r.out_stride + c] *= r.scale * f.decay[i];
    for (int64_t j = 0; j <= i; ++j) f.read[i * kChunk + j] *= r.scale;
  }
  multiply_rows({f.read, kChunk, 1, f.w, columns, out, r.out_stride, n, columns, 1}, 0, n);
  multiply_rows({f.scaled, 1, r.K, f.w, columns, state, r.V, n, columns, f.decay[n - 1]}, 0, r.K);
}

/// Whether a task is computed in chunks: enough tokens, and no decays per channel or general erasing.
bool in_chunks(const RecurrenceTask& r) { return r.tokens >= kChunk / 2 && !r.g_vector && !r.a && !r.invariant; }

void recurrence_in_chunks(const RecurrenceTask& r) {
  static thread_local Scratch scratch;
  const int64_t columns = r.column_end - r.column_begin;
  float* p = scratch.floats(kChunk * (columns + 2 * r.K + 2 * kChunk + 2));
  ChunkScratch f{};
  f.w = p, p += kChunk * columns;
  f.transposed = p, p += kChunk * r.K;
  f.scaled = p, p += kChunk * r.K;
  f.erase = p, p += kChunk * kChunk;
  f.read = p, p += kChunk * kChunk;
  f.decay = p, f.remaining = p + kChunk;
  for (int64_t t = 0; t < r.tokens; t += kChunk) recurrence_chunk(r, t, std::min(kChunk, r.tokens - t), f);
}

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
