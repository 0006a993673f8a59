// Softmax attention of a block of queries against one head of keys and values. Part of bricks.h.
//
// Queries are the pairs (token, query head of the group), at most kQueries at a time; keys come in blocks of kKeys that
// begin at multiples of kKeys, so that a query's sums do not depend on where its sequence was cut into passes:
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
      for (int64_t j = 0; j < keys; ++j) sum_rc = multiply_add(p[r * kKeys + j], v[j * v_stride + c], sum_rc);
      o[r * dim + c] = sum_rc;
    }
  }
}

/// Scores of one query -> probabilities relative to its running maximum; rescales what is already summed.
/// Only keys [low, high) of the block are visible to it.
void soft_block(float* s, int64_t low, int64_t high, int64_t keys, float* m, float* l, float* o, int64_t dim) {
  constexpr float kUnseen = -std::numeric_limits<float>::infinity();
  const int64_t padded = (keys + kLanes - 1) / kLanes * kLanes;
  if (low >= high) {
    std::fill(s, s + keys, 0.0f);
    return;
  }
  for (int64_t j = 0; j < low; ++j) s[j] = kUnseen;
  for (int64_t j = high; j < padded; ++j) s[j] = kUnseen;
  Vec tops = load(s);
  for (int64_t j = kLanes; j < padded; j += kLanes) tops = load(s + j) > tops ? load(s + j) : tops;
  float top = *m;
  for (int i = 0; i < kLanes; ++i) top = tops[i] > top ? tops[i] : top;
  if (top > *m) {
    const float shrink = *m == kUnseen ? 0.0f : exp_to_88(*m - top);
    *l *= shrink;
    for (int64_t c = 0; c < dim; ++c) o[c] *= shrink;
    *m = top;
  }
  Vec total[1] = {};
  for (int64_t j = 0; j < padded; j += kLanes) {
    const Vec x = load(s + j), p = exp_to_88(x - top);
    const Vec seen = x == kUnseen ? Vec{} : p;
    store(s + j, seen);
    total[0] += seen;
  }
  float sum;
  sums<1>(total, &sum);
  *l += sum;
}

/// Keys and values at positions [position + first, position + end), in fp32.
struct KeyBlock {
  const float *keys = nullptr, *values = nullptr;  // of the first
  int64_t position = 0, first = 0, end = 0;
};

/// One block of keys against the block's queries, those of the tokens from first_token on.
void attend_block(const AttendTask& a, AttendScratch& f, int64_t first_token, int64_t queries, const KeyBlock& b) {
  const int64_t n = b.end - b.first;
  std::fill(f.s, f.s + queries * kKeys, 0.0f);
  tokens_by_rows(f.q, queries, a.dim, b.keys, a.dim, n, a.dim, f.s + b.first, kKeys);
  for (int64_t r = 0; r < queries; ++r) {
    const int64_t p = a.first_query + first_token + r / a.group;
    const int64_t oldest = a.window > 0 ? p - a.window + 1 - b.position : 0;
    const int64_t low = std::clamp(oldest, b.first, b.end), high = std::clamp(p + 1 - b.position, int64_t{0}, b.end);
    soft_block(f.s + r * kKeys, low, high, b.end, &f.m[r], &f.l[r], f.o + r * a.dim, a.dim);
  }
  const float* s = f.s + b.first;
  int64_t r = 0;
  for (; r + 4 <= queries; r += 4) add_values<4, 2>(s + r * kKeys, b.values, a.dim, n, a.dim, f.o + r * a.dim);
  for (; r < queries; ++r) add_values<1, 2>(s + r * kKeys, b.values, a.dim, n, a.dim, f.o + r * a.dim);
}

/// Rows of a span as floats.
void widen_rows(DType dtype, const void* rows, const float* scales, int64_t begin, int64_t n, int64_t dim, float* to) {
  if (dtype == DType::f32) return widen(static_cast<const float*>(rows) + begin * dim, dim, n, dim, to);
  if (dtype == DType::bf16) return widen(static_cast<const bf16*>(rows) + begin * dim, dim, n, dim, to);
  const auto* numbers = static_cast<const int8_t*>(rows) + begin * dim;
  widen(numbers, dim, n, dim, to);
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t c = 0; c < dim; ++c) to[j * dim + c] *= scales[begin + j];
  }
}

/// A span and the position of its first key: blocks are taken in order, and a long cache has thousands of spans.
struct SpanCursor {
  int span = 0;
  int64_t position = 0;
};

/// The block at `position`, up to `end` keys of it: where fp32 rows lie side by side they stay there.
KeyBlock key_block(const AttendTask& a, AttendScratch& f, SpanCursor& cursor, int64_t position, int64_t end) {
  KeyBlock b{f.keys, f.values, position, std::max<int64_t>(a.first_key - position, 0), end};
  while (cursor.position + a.spans[cursor.span].count <= position) cursor.position += a.spans[cursor.span++].count;
  int64_t at = cursor.position - position;  // of the span's first key in the block
  for (int i = cursor.span; i < a.n_spans && at < end; at += a.spans[i++].count) {
    const KeySpan& span = a.spans[i];
    const int64_t from = std::max(at, b.first), to = std::min(at + span.count, end), n = to - from;
    if (n <= 0) continue;
    if (a.dtype == DType::f32 && n == end - b.first) {
      b.keys = static_cast<const float*>(span.keys) + (from - at) * a.dim;
      b.values = static_cast<const float*>(span.values) + (from - at) * a.dim;
      break;
    }
    const int64_t row = (from - b.first) * a.dim;
    widen_rows(a.dtype, span.keys, span.key_scales, from - at, n, a.dim, f.keys + row);
    widen_rows(a.dtype, span.values, span.value_scales, from - at, n, a.dim, f.values + row);
  }
  return b;
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
  int64_t keys_end = a.first_key;
  for (int i = 0; i < a.n_spans; ++i) keys_end += a.spans[i].count;
  const int64_t end = std::min(keys_end, a.first_query + first + tokens);
  const int64_t oldest = a.window > 0 ? a.first_query + first - a.window + 1 : 0;
  SpanCursor cursor{0, a.first_key};
  for (int64_t p = std::max(oldest, a.first_key) / kKeys * kKeys; p < end; p += kKeys) {
    attend_block(a, f, first, queries, key_block(a, f, cursor, p, std::min(kKeys, end - p)));
  }
  for (int64_t r = 0; r < queries; ++r) {
    float* out = a.out + (first + r / a.group) * a.out_stride + (r % a.group) * dim;
    const float inverse = 1.0f / f.l[r];
    for (int64_t c = 0; c < dim; ++c) out[c] = f.o[r * dim + c] * inverse;
    if (a.log_sum) a.log_sum[first * a.group + r] = f.m[r] + __builtin_logf(f.l[r]);
  }
}

// One token's queries, a few at a time: keys and values go from memory into registers, and only once for all of them.
// Numbers come two vectors at a time; of bf16 the even and the odd ones, which costs a shift and a mask. Queries lie in
// lanes, Q of them padded to a power of 2, and as many keys as fill a vector:
//   s, p [kFewKeys][padded],   m, l [a vector: every key's lanes],   o [Q][dim]
// Bound by FMA from about 4 queries on (AVX2 and bf16: 12 FMA for 32 bytes), by reading below that.
constexpr int64_t kStep = 2 * kLanes, kFewKeys = 32;
constexpr int kFewQueries = kLanes == 16 ? 8 : kLanes == 8 ? 6 : 4;

/// Lanes of one key, keys of a vector, and keys that are multiplied at once: enough sums to keep the multipliers busy.
template <int Q>
struct Few {
  static constexpr int padded = Q <= 1 ? 1 : Q <= 2 ? 2 : Q <= 4 ? 4 : 8;
  static constexpr int vector = kLanes / padded;
  static constexpr int keys = vector * Q >= 8 ? vector : 2 * vector;
};

/// Half of a step: its first numbers or the rest, of bf16 the even or the odd ones.
template <int HALF>
JET_INLINE Vec load_half(const float* p) {
  return load(p + HALF * kLanes);
}
template <int HALF>
JET_INLINE Vec load_half(const bf16* p) {
  const Ints both = load_as<Ints>(p);
  return cast<Vec>(HALF == 0 ? both << 16 : both & static_cast<int32_t>(0xffff0000));
}
template <int HALF>
JET_INLINE Vec load_half(const int8_t* p) {
  return load(p + HALF * kLanes);
}
template <class T>
JET_INLINE void load_two(const T* p, Vec (&v)[2]) {
  v[0] = load_half<0>(p), v[1] = load_half<1>(p);
}

/// Where query r's number c lies: by halves of steps, then by queries. Side by side, because two loads of a cycle
/// should not meet in the L1 cache's banks: rows of q, a multiple of a line apart, always did (half the loads a cycle).
template <class T, int Q>
JET_INLINE int64_t place(int r, int64_t c) {
  if constexpr (std::is_same_v<T, bf16>) c = c / kStep * kStep + c % 2 * kLanes + c % kStep / 2;
  return (c / kLanes * Q + r) * kLanes + c % kLanes;
}

/// f(lane's query r, lane's key i): one number a lane.
template <int PADDED, class F>
JET_INLINE Vec by_lane(F&& f) {
  Vec v;
  for (int i = 0; i < kLanes; ++i) v[i] = f(i % PADDED, i / PADDED);
  return v;
}

/// Per query the largest or the sum over the keys of a vector, in the lanes of every key.
template <int STEP, class F, int... I>
JET_INLINE Vec over_keys(Vec v, F&& f, std::integer_sequence<int, I...> lanes) {
  if constexpr (STEP < kLanes) {
    return over_keys<2 * STEP>(f(v, __builtin_shufflevector(v, v, (I ^ STEP)...)), f, lanes);
  } else {
    return v;
  }
}

/// s[j, r] = q[r] . k[j], times the key's scale; asks for the values and the keys that come next. Keys from n on score
/// -infinity.
template <int Q, class T>
JET_INLINE void few_scores(AttendScratch f, const T* k, const T* v, const float* scales, int64_t n, int64_t dim) {
  using F = Few<Q>;
  for (int64_t j = 0; j < n; j += F::keys) {
    const T* rows[F::keys];
    for (int i = 0; i < F::keys; ++i) rows[i] = k + std::min(j + i, n - 1) * dim;
    Vec dots[F::keys / F::vector][kLanes] = {};
    for (int64_t c = 0; c < dim; c += kStep) {
      for (int64_t line = F::keys * c; line < F::keys * (c + kStep); line += 64 / static_cast<int64_t>(sizeof(T))) {
        __builtin_prefetch(v + j * dim + line);
        __builtin_prefetch(k + (j + n) * dim + line);
      }
      const auto add_half = [&]<int HALF>() {
        Vec key[F::keys];
        for (int i = 0; i < F::keys; ++i) key[i] = load_half<HALF>(rows[i] + c);
        for (int r = 0; r < Q; ++r) {
          const Vec q = load(f.q + (c + HALF * kLanes) * Q + r * kLanes);
          for (int i = 0; i < F::keys; ++i) dots[i / F::vector][i % F::vector * F::padded + r] += q * key[i];
        }
      };
      add_half.template operator()<0>();
      add_half.template operator()<1>();
    }
    for (int i = 0; i < F::keys / F::vector; ++i) {
      const int64_t first = j + i * F::vector;
      Vec score = lane_sums(dots[i]);
      if (scales) score *= by_lane<F::padded>([&](int, int key) { return scales[std::min(first + key, n - 1)]; });
      if (first + F::vector > n) {
        constexpr float kUnseen = -std::numeric_limits<float>::infinity();
        score =
            by_lane<F::padded>([&](int r, int key) { return first + key < n ? score[key * F::padded + r] : kUnseen; });
      }
      store(f.s + first * F::padded, score);
    }
  }
}

/// Scores to probabilities relative to the running maximum, times the value's scale; rescales what is summed already.
template <int Q>
JET_INLINE void few_softmax(AttendScratch f, const float* scales, int64_t n, int64_t dim) {
  using F = Few<Q>;
  constexpr auto lanes = std::make_integer_sequence<int, kLanes>();
  const int64_t end = n * F::padded;
  const Vec before = load(f.m);
  Vec top = before;
  for (int64_t at = 0; at < end; at += kLanes) top = load(f.s + at) > top ? load(f.s + at) : top;
  top = over_keys<F::padded>(
      top, [](Vec a, Vec b) { return a > b ? a : b; }, lanes);
  // e^x of this kernel ends at e^-87: what was summed before any key is 0, so it does not matter by how much it
  // shrinks.
  const Vec shrink = exp_to_88(before - top);
  for (int r = 0; r < Q; ++r) {
    if (top[r] == before[r]) continue;
    for (float* o = f.o + r * kLanes; o < f.o + Q * dim; o += Q * kLanes) store(o, load(o) * shrink[r]);
  }
  Vec total = load(f.l) * shrink;
  for (int64_t at = 0; at < end; at += kLanes) {
    const Vec x = load(f.s + at), p = exp_to_88(x - top);
    const Vec seen = x < std::numeric_limits<float>::lowest() ? Vec{} : p;
    total += seen;
    const int64_t first = at / F::padded;
    store(f.s + at, scales
                        ? seen * by_lane<F::padded>([&](int, int key) { return scales[std::min(first + key, n - 1)]; })
                        : seen);
  }
  store(f.m, top), store(f.l, total);
}

/// o[r] += sum_j p[j, r] v[j].
template <int Q, class T>
JET_INLINE void few_values(AttendScratch f, const T* v, int64_t n, int64_t dim) {
  for (int64_t c = 0; c < dim; c += kStep) {
    float* o = f.o + c * Q;
    Vec sum[2][Q];
    for (int r = 0; r < 2 * Q; ++r) sum[r / Q][r % Q] = load(o + r * kLanes);
    const float* p = f.s;
#pragma GCC unroll 4
    for (int64_t j = 0; j < n; ++j, p += Few<Q>::padded) {
      Vec value[2];
      load_two(v + j * dim + c, value);
      for (int r = 0; r < Q; ++r) {
        const Vec weight = broadcast(p[r]);
        sum[0][r] += weight * value[0], sum[1][r] += weight * value[1];
      }
    }
    for (int r = 0; r < 2 * Q; ++r) store(o + r * kLanes, sum[r / Q][r % Q]);
  }
}

template <int Q, class T>
void attend_few(const AttendTask& a, AttendScratch& f) {
  const int64_t dim = a.dim;
  for (int r = 0; r < Q; ++r) {
    for (int64_t c = 0; c < dim; ++c) f.q[place<T, Q>(r, c)] = a.q[r * dim + c] * a.scale;
  }
  store(f.m, broadcast(-std::numeric_limits<float>::infinity())), store(f.l, Vec{});
  std::fill(f.o, f.o + Q * dim, 0.0f);
  const int64_t oldest = a.window > 0 ? a.first_query - a.window + 1 : 0;
  int64_t position = a.first_key;
  for (int i = 0; i < a.n_spans; ++i) {
    const KeySpan& span = a.spans[i];
    const int64_t end = std::min(span.count, a.first_query + 1 - position);
    for (int64_t j = std::max<int64_t>(oldest - position, 0); j < end; j += kFewKeys) {
      const int64_t n = std::min(kFewKeys, end - j);
      const T *k = static_cast<const T*>(span.keys) + j * dim, *v = static_cast<const T*>(span.values) + j * dim;
      few_scores<Q>(f, k, v, span.key_scales ? span.key_scales + j : nullptr, n, dim);
      few_softmax<Q>(f, span.value_scales ? span.value_scales + j : nullptr, n, dim);
      few_values<Q>(f, v, n, dim);
    }
    position += span.count;
  }
  const Vec sum = over_keys<Few<Q>::padded>(
      load(f.l), [](Vec x, Vec y) { return x + y; }, std::make_integer_sequence<int, kLanes>());
  for (int r = 0; r < Q; ++r) {
    const float inverse = 1.0f / sum[r];
    for (int64_t c = 0; c < dim; ++c) a.out[r * dim + c] = f.o[place<T, Q>(r, c)] * inverse;
    if (a.log_sum) a.log_sum[r] = f.m[r] + __builtin_logf(sum[r]);
  }
}

template <class T, int Q = kFewQueries>
void attend_group(const AttendTask& a, AttendScratch& f) {
  if constexpr (Q > 1) {
    if (a.group < Q) return attend_group<T, Q - 1>(a, f);
  }
  attend_few<Q, T>(a, f);
}

AttendTask heads_of(const AttendTask& a, int64_t begin, int64_t n) {
  AttendTask part = a;
  part.q += begin * a.dim, part.out += begin * a.dim, part.group = n;
  if (a.log_sum) part.log_sum += begin;
  return part;
}

void attend(const AttendTask& a) {
  static thread_local Scratch scratch;
  const bool few = a.tokens == 1 && a.dim % kStep == 0 && !a.invariant;
  // A large group is split: its heads are independent queries of the same token.
  const int64_t at_once = few ? kFewQueries : kQueries;
  if (a.group > at_once && a.tokens == 1) {
    const int64_t parts = (a.group + at_once - 1) / at_once;
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t begin = a.group * i / parts;
      attend(heads_of(a, begin, a.group * (i + 1) / parts - begin));
    }
    return;
  }
  const int64_t q = kQueries * a.dim, k = kKeys * a.dim, s = kQueries * kKeys;
  float* p = scratch.floats(2 * q + 2 * k + s + 2 * kQueries);
  AttendScratch f{p, p + q, p + 2 * q, p + 2 * q + k, p + 2 * q + 2 * k, nullptr, nullptr};
  f.m = f.s + s, f.l = f.m + kQueries;
  if (few) {
    switch (a.dtype) {
      case DType::bf16: return attend_group<bf16>(a, f);
      case DType::i8: return attend_group<int8_t>(a, f);
      default: return attend_group<float>(a, f);
    }
  }
  if (a.group > kQueries) {
    for (int64_t t = 0; t < a.tokens; ++t) {
      AttendTask one = a;
      one.q += t * a.q_stride, one.out += t * a.out_stride, one.tokens = 1, one.first_query += t;
      if (a.log_sum) one.log_sum += t * a.group;
      attend(one);
    }
    return;
  }
  const int64_t step = kQueries / a.group;
  for (int64_t t = 0; t < a.tokens; t += step) attend_queries(a, f, t, std::min(step, a.tokens - t));
}

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
