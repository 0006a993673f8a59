// Softmax attention of a block of queries against one head of keys and values. Part of bricks.h.
//
// Queries are the pairs (token, query head of the group), at most kQueries at a time; keys come in blocks of kKeys:
//   s = q K^T,  m' = max(m, max s),  p = e^(s - m'),  l = l e^(m - m') + sum p,  o = o e^(m - m') + p V;   out = o / l
namespace jet::JET_ISA_NAMESPACE {
namespace {

constexpr int64_t kQueries = 32, kKeys = 64;

struct AttendScratch {
  float *q, *o;          // [kQueries, dim]
  float *keys, *values;  // [kKeys, dim], widened
  float* s;              // [kQueries, kKeys]
  float *m, *l;          // [kQueries]
};

/// o[r, :] += sum_j p[r, j] v[j, :] for ROWS queries.
template <int ROWS, int WIDE>
JET_INLINE void add_values(const float* p, const float* v, int64_t v_stride, int64_t keys, int64_t dim, float* o) {
  int64_t c = 0;
  for (; c + WIDE * kLanes <= dim; c += WIDE * kLanes) {
    Vec acc[ROWS][WIDE];
    for (int r = 0; r < ROWS; ++r) {
      for (int i = 0; i < WIDE; ++i) acc[r][i] = load(o + r * dim + c + i * kLanes);
    }
    for (int64_t j = 0; j < keys; ++j) {
      for (int i = 0; i < WIDE; ++i) {
        const Vec x = load(v + j * v_stride + c + i * kLanes);
        for (int r = 0; r < ROWS; ++r) acc[r][i] += p[r * kKeys + j] * x;
      }
    }
    for (int r = 0; r < ROWS; ++r) {
      for (int i = 0; i < WIDE; ++i) store(o + r * dim + c + i * kLanes, acc[r][i]);
    }
  }
  for (; c < dim; ++c) {
    for (int r = 0; r < ROWS; ++r) {
      float sum_rc = o[r * dim + c];
      for (int64_t j = 0; j < keys; ++j) sum_rc += p[r * kKeys + j] * v[j * v_stride + c];
      o[r * dim + c] = sum_rc;
    }
  }
}

/// Scores of one query -> probabilities relative to its running maximum; rescales what is already summed.
/// Only keys [low, high) of the block are visible to it.
void soft_block(float* s, int64_t low, int64_t high, int64_t keys, float* m, float* l, float* o, int64_t dim) {
  if (low >= high) {
    std::fill(s, s + keys, 0.0f);
    return;
  }
  float top = *m;
  for (int64_t j = low; j < high; ++j) top = s[j] > top ? s[j] : top;
  if (top > *m) {
    const float shrink = *m == -std::numeric_limits<float>::infinity() ? 0.0f : exp_negative(*m - top);
    *l *= shrink;
    for (int64_t c = 0; c < dim; ++c) o[c] *= shrink;
    *m = top;
  }
  std::fill(s, s + low, 0.0f);
  std::fill(s + high, s + keys, 0.0f);
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t j = low; j < high; ++j) {
    s[j] = exp_negative(s[j] - top);
    total += s[j];
  }
  *l += total;
}

/// One block of keys (already fp32) against the block's queries. `position` is that of the first key.
void attend_block(const AttendTask& a, AttendScratch& f, int64_t first_token, int64_t queries, const float* keys,
                  const float* values, int64_t stride, int64_t n_keys, int64_t position) {
  std::fill(f.s, f.s + queries * kKeys, 0.0f);
  tokens_by_rows(f.q, queries, a.dim, keys, stride, n_keys, a.dim, f.s, kKeys);
  for (int64_t r = 0; r < queries; ++r) {
    const int64_t p = a.first_query + first_token + r / a.group;
    const int64_t low = a.window > 0 ? std::clamp<int64_t>(p - a.window + 1 - position, 0, n_keys) : 0;
    const int64_t high = std::clamp<int64_t>(p + 1 - position, 0, n_keys);
    soft_block(f.s + r * kKeys, low, high, n_keys, &f.m[r], &f.l[r], f.o + r * a.dim, a.dim);
  }
  int64_t r = 0;
  for (; r + 4 <= queries; r += 4) {
    add_values<4, 2>(f.s + r * kKeys, values, stride, n_keys, a.dim, f.o + r * a.dim);
  }
  for (; r < queries; ++r) add_values<1, 4>(f.s + r * kKeys, values, stride, n_keys, a.dim, f.o + r * a.dim);
}

/// All keys against the queries of `tokens` tokens from `first` on.
void attend_queries(const AttendTask& a, AttendScratch& f, int64_t first, int64_t tokens) {
  const int64_t queries = tokens * a.group, dim = a.dim;
  for (int64_t r = 0; r < queries; ++r) {
    const float* q = a.q + (first + r / a.group) * a.q_stride + (r % a.group) * dim;
    for (int64_t c = 0; c < dim; ++c) f.q[r * dim + c] = q[c] * a.scale;
    f.m[r] = -std::numeric_limits<float>::infinity();
    f.l[r] = 0;
  }
  std::fill(f.o, f.o + queries * dim, 0.0f);
  const int64_t last_position = a.first_query + first + tokens - 1;
  const int64_t oldest = a.window > 0 ? a.first_query + first - a.window + 1 : 0;
  int64_t position = a.first_key;
  for (int i = 0; i < a.n_spans; ++i) {
    const KeySpan& span = a.spans[i];
    const int64_t begin = std::max<int64_t>(oldest - position, 0) / kKeys * kKeys;
    const int64_t end = std::min(span.count, last_position + 1 - position);
    for (int64_t j = begin; j < end; j += kKeys) {
      const int64_t n = std::min(kKeys, end - j);
      if (a.dtype == DType::bf16) {
        const int64_t at = j * a.row_stride;
        widen(static_cast<const bf16*>(span.keys) + at, a.row_stride, n, dim, f.keys);
        widen(static_cast<const bf16*>(span.values) + at, a.row_stride, n, dim, f.values);
        attend_block(a, f, first, queries, f.keys, f.values, dim, n, position + j);
      } else {
        attend_block(a, f, first, queries, static_cast<const float*>(span.keys) + j * a.row_stride,
                     static_cast<const float*>(span.values) + j * a.row_stride, a.row_stride, n, position + j);
      }
    }
    position += span.count;
  }
  for (int64_t r = 0; r < queries; ++r) {
    float* out = a.out + (first + r / a.group) * a.q_stride + (r % a.group) * dim;
    const float inverse = 1.0f / f.l[r];
    for (int64_t c = 0; c < dim; ++c) out[c] = f.o[r * dim + c] * inverse;
  }
}

void attend(const AttendTask& a) {
  static thread_local Scratch scratch;
  // A group larger than kQueries is split: its heads are independent queries of the same token.
  if (a.group > kQueries) {
    for (int64_t h = 0; h < a.group; h += kQueries) {
      AttendTask part = a;
      part.q += h * a.dim, part.out += h * a.dim, part.group = std::min(kQueries, a.group - h);
      attend(part);
    }
    return;
  }
  const int64_t q = kQueries * a.dim, k = kKeys * a.dim, s = kQueries * kKeys;
  float* p = scratch.floats(2 * q + 2 * k + s + 2 * kQueries);
  AttendScratch f{p, p + q, p + 2 * q, p + 2 * q + k, p + 2 * q + 2 * k, nullptr, nullptr};
  f.m = f.s + s, f.l = f.m + kQueries;
  const int64_t step = kQueries / a.group;
  for (int64_t t = 0; t < a.tokens; t += step) attend_queries(a, f, t, std::min(step, a.tokens - t));
}

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
