// Softmax attention of many queries in products of bf16, on tiles (JET_AMX) or pairs (JET_BF16_DOT). Part of bricks.h.
//
// Queries are the lanes, 32 of them a block, so that a key's scores are two vectors, maxima and sums over keys need no
// shuffles, and keys are multiplied as they lie in the cache:
//
//   s [64 keys][32 queries]  = K [64 keys][dim] x Q [dim/2 pairs][32 queries]
//   p = 2^(c s - m)   c = scale / ln 2, m the running maximum;   o is shrunk by 2^(m before - m)
//   o [dim][32 queries]     += V^T [dim][64 keys] x P [32 pairs of keys][32 queries]
//
// Products take bf16 and sum in fp32: q, p (relative to the largest of its query so far) and keys in 8 bits are
// rounded, by 2^-8 of each at most. V^T is made once a block of keys for all queries of the task. Bound by the
// exponentials: a block takes 32 tile products, 512 cycles, for 128 vectors of them.
namespace jet::JET_ISA_NAMESPACE {
namespace {

#if JET_BF16_DOT
constexpr int64_t kLaneQueries = 2 * kLanes, kHalfKeys = 64, kMostLaneBlocks = 8, kAbreast = 2;
constexpr float kLowest = -1e30f;  // no key seen yet; finite, so that differences are numbers

/// c [rows][32 lanes] (+)= a [rows][32 steps of bf16, rows a_stride bytes apart] b [16 steps pairs][32 lanes]; rows in
/// thirty-twos.
struct HalvesProduct {
  const std::byte* a = nullptr;
  int64_t a_stride = 0;
  const uint32_t* b = nullptr;
  float* c = nullptr;
  int64_t rows = 0, steps = 0;
  bool adds = false;
};

#if JET_AMX
using HalvesSetup = TileSetup<>;
void multiply_halves(const HalvesProduct& p) {
  constexpr int64_t row = kLaneQueries * 4;
  const auto* b = reinterpret_cast<const std::byte*>(p.b);
  for (int64_t r = 0; r < p.rows; r += 32) {
    auto *c = reinterpret_cast<std::byte*>(p.c + r * kLaneQueries), *lower = c + 16 * row;
    if (p.adds) {
      tile_load<0>(c, row), tile_load<1>(c + kTileRowBytes, row);
      tile_load<2>(lower, row), tile_load<3>(lower + kTileRowBytes, row);
    } else {
      tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
    }
    const std::byte* a = p.a + r * p.a_stride;
    for (int64_t i = 0; i < p.steps; ++i, a += kTileRowBytes) {
      tile_load<4>(a, p.a_stride), tile_load<5>(a + 16 * p.a_stride, p.a_stride);
      tile_load<6>(b + i * 16 * row, row), tile_load<7>(b + i * 16 * row + kTileRowBytes, row);
      tile_dot<0, 4, 6>(), tile_dot<1, 4, 7>(), tile_dot<2, 5, 6>(), tile_dot<3, 5, 7>();
    }
    tile_store<0>(c, row), tile_store<1>(c + kTileRowBytes, row);
    tile_store<2>(lower, row), tile_store<3>(lower + kTileRowBytes, row);
  }
}
#else
struct HalvesSetup {};
void multiply_halves(const HalvesProduct& p) {
  constexpr int R = 8;
  for (int64_t r = 0; r < p.rows; r += R) {
    float* c = p.c + r * kLaneQueries;
    Vec sums[R][2] = {};
    for (int i = 0; i < 2 * R && p.adds; ++i) sums[i / 2][i % 2] = load(c + i * kLanes);
    const std::byte* a = p.a + r * p.a_stride;
    for (int64_t k = 0; k < 16 * p.steps; ++k, a += 4) {
      const auto b0 = load_as<Ints>(p.b + k * kLaneQueries), b1 = load_as<Ints>(p.b + k * kLaneQueries + kLanes);
      for (int i = 0; i < R; ++i) {
        const Ints pair = broadcast_bits(reinterpret_cast<const uint32_t*>(a + i * p.a_stride));
        sums[i][0] = bf16_dot(sums[i][0], pair, b0), sums[i][1] = bf16_dot(sums[i][1], pair, b1);
      }
    }
    for (int i = 0; i < 2 * R; ++i) store(c + i * kLanes, sums[i / 2][i % 2]);
  }
}
#endif

/// The greater one of each lane.
JET_INLINE Vec greater(Vec a, Vec b) {
#if defined(JET_EMULATE)
  return a > b ? a : b;
#else
  return cast<Vec>(_mm512_maskz_max_ps(0xffff, cast<__m512>(a), cast<__m512>(b)));
#endif
}

/// 2^x for x <= 0, relative error below 3e-6; 1 at 0, and below -126 nearly 0.
JET_INLINE Vec exp2_to_0(Vec x) {
  x = greater(x, broadcast(-126.0f));
  const Vec shifted = x + 12582912.0f;  // 1.5 * 2^23: the integer part lands in the low bits
  const Vec r = x - (shifted - 12582912.0f);
  Vec p = r * 9.58274e-3f + 5.590618e-2f;
  p = p * r + 2.4024099e-1f;
  p = p * r + 6.9312422e-1f;
  p = p * r + 1.0f;
  return cast<Vec>(cast<Ints>(p) + (cast<Ints>(shifted) << 23));
}

/// A pair of bf16 a lane, the first one in the lower half.
JET_INLINE Ints halves_pair(Vec first, Vec second) {
#if defined(JET_EMULATE)
  const Halves a = round_to_bf16(first), b = round_to_bf16(second);
  return __builtin_convertvector(a, Ints) | __builtin_convertvector(b, Ints) << 16;
#else
  const auto order = Lanes<uint16_t>{0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const auto both = _mm512_cvtne2ps_pbh(cast<__m512>(second), cast<__m512>(first));
  return cast<Ints>(_mm512_maskz_permutexvar_epi16(~__mmask32{0}, cast<__m512i>(order), cast<__m512i>(both)));
#endif
}

/// What a block of 32 queries has: q [dim/2][32] pairs, o [dim][32], m and l [32], positions [32].
struct LaneBlock {
  uint32_t* q;
  float *o, *m, *l;
  int32_t* positions;
  int32_t first = 0, last = 0;  // of the positions
};

struct LaneScratch {
  LaneBlock blocks[kMostLaneBlocks];
  uint16_t* keys;       // [64][dim] of bf16
  uint32_t* values;     // V^T [dim][32 pairs of keys]
  float* s;             // [64][32] of each of kAbreast blocks
  uint32_t* p;          // [32 pairs of keys][32] of each
  float* rows;          // [32][dim]
  float scales[2][64];  // of keys and values, i8
};

/// Rows of the cache as 64 rows of bf16: those of bf16 where they lie, if all are there. Rows behind the end are 0.
const uint16_t* halves_of(DType dtype, const void* rows, int64_t at, int64_t n, int64_t dim, uint16_t* to) {
  if (dtype == DType::bf16 && n == kHalfKeys) return static_cast<const uint16_t*>(rows) + at * dim;
  if (dtype == DType::bf16) {
    std::memcpy(to, static_cast<const uint16_t*>(rows) + at * dim, n * dim * sizeof(uint16_t));
  } else {
    const auto* from = static_cast<const int8_t*>(rows) + at * dim;
    for (int64_t c = 0; c < n * dim; c += kLanes) {
      const Halves h = round_to_bf16(load(from + c));
      std::memcpy(to + c, &h, sizeof(h));
    }
  }
  std::memset(to + n * dim, 0, (kHalfKeys - n) * dim * sizeof(uint16_t));
  return to;
}

/// [64][dim] -> [dim][32 pairs].
void transpose_values(const uint16_t* v, int64_t dim, uint32_t* to) {
  for (int64_t c = 0; c < dim; c += kLanes) {
    for (int64_t half = 0; half < kHalfKeys / 2; half += kLanes) {
      Vec pairs[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        const uint16_t* row = v + 2 * (half + i) * dim + c;
        const auto even = load_as<Halves>(row), odd = load_as<Halves>(row + dim);
        pairs[i] = cast<Vec>(__builtin_shufflevector(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
                                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
      }
      transpose(pairs, std::make_integer_sequence<int, kLanes>());
      for (int64_t i = 0; i < kLanes; ++i)
        store(reinterpret_cast<float*>(to) + (c + i) * (kHalfKeys / 2) + half, pairs[i]);
    }
  }
}

/// The greatest score of 16 queries, times c, and of what was seen before; scores become what they are with their keys'
/// scales and masks. A score that is seen is the same number, masked or not: where parts are cut does not matter.
template <bool MASKED, bool SCALED>
JET_INLINE Vec lane_maxima(const AttendTask& a, const LaneScratch& f, const LaneBlock& b, float* s, int v,
                           int64_t position, int64_t n) {
  constexpr float kUnseen = -std::numeric_limits<float>::infinity();
  constexpr int kChains = 4;  // a maximum takes some cycles to come
  const float factor = a.scale * 1.44269504f;
  const Ints at = load_as<Ints>(b.positions + v * kLanes) - static_cast<int32_t>(position);
  const Ints oldest = a.window > 0 ? at - static_cast<int32_t>(a.window) : Ints{} - 1;
  s += v * kLanes;
  Vec top[kChains];
  for (Vec& t : top) t = broadcast(kUnseen);
  for (int64_t first = 0; first < kHalfKeys; first += kChains) {
    for (int i = 0; i < kChains; ++i) {
      const int64_t j = first + i;
      Vec x = load(s + j * kLaneQueries);
      if constexpr (SCALED) x *= f.scales[0][j];
      if constexpr (MASKED) {
        const Ints key = Ints{} + static_cast<int32_t>(j < n ? j : std::numeric_limits<int32_t>::max());
        x = key <= at ? x : broadcast(kUnseen);
        x = key > oldest ? x : broadcast(kUnseen);
      }
      if constexpr (MASKED || SCALED) store(s + j * kLaneQueries, x);
      top[i] = greater(x, top[i]);
    }
  }
  const Vec seen = greater(greater(top[0], top[1]), greater(top[2], top[3]));
  return greater(seen * factor, load(b.m + v * kLanes));
}

/// Scores s of a block of keys, of which `n` count, to probabilities; what is summed already shrinks.
template <bool MASKED, bool SCALED>
void lane_softmax(const AttendTask& a, const LaneScratch& f, const LaneBlock& b, float* scores, uint32_t* pairs,
                  int64_t position, int64_t n) {
  const float factor = a.scale * 1.44269504f;
  for (int v = 0; v < 2; ++v) {
    const float* s = scores + v * kLanes;
    const Vec before = load(b.m + v * kLanes), top = lane_maxima<MASKED, SCALED>(a, f, b, scores, v, position, n);
    const Vec shrink = exp2_to_0(before - top);
    bool moved = false;
    for (int i = 0; i < kLanes; ++i) moved |= top[i] != before[i];
    if (moved) {
      for (int64_t c = 0; c < a.dim; ++c) {
        float* o = b.o + c * kLaneQueries + v * kLanes;
        store(o, load(o) * shrink);
      }
    }
    Vec total[2] = {load(b.l + v * kLanes) * shrink, Vec{}};
    for (int64_t j = 0; j < kHalfKeys; j += 2) {
      Vec p[2];
      for (int i = 0; i < 2; ++i) {
        const Vec x = load(s + (j + i) * kLaneQueries);
        p[i] = exp2_to_0(x * factor - top);
        if constexpr (MASKED) p[i] = x == -std::numeric_limits<float>::infinity() ? Vec{} : p[i];
        total[i] += p[i];
        if constexpr (SCALED) p[i] *= f.scales[1][j + i];
      }
      const Ints pair = halves_pair(p[0], p[1]);
      std::memcpy(pairs + j / 2 * kLaneQueries + v * kLanes, &pair, sizeof(pair));
    }
    store(b.m + v * kLanes, top), store(b.l + v * kLanes, total[0] + total[1]);
  }
}

/// Keys and values [at, at + n) of a span, as the products want them.
const uint16_t* lane_keys(const AttendTask& a, LaneScratch& f, const KeySpan& span, int64_t at, int64_t n) {
  transpose_values(halves_of(a.dtype, span.values, at, n, a.dim, f.keys), a.dim, f.values);
  for (int64_t j = 0; j < kHalfKeys && a.dtype == DType::i8; ++j) {
    f.scales[0][j] = j < n ? span.key_scales[at + j] : 0.0f;
    f.scales[1][j] = j < n ? span.value_scales[at + j] : 0.0f;
  }
  return halves_of(a.dtype, span.keys, at, n, a.dim, f.keys);
}

/// Keys [at, at + n) of a span, the first one at `position`, against all blocks of queries. Some blocks abreast: what a
/// product stores is there when the next step reads it.
void attend_lanes(const AttendTask& a, LaneScratch& f, int64_t blocks, const KeySpan& span, int64_t at, int64_t n,
                  int64_t position) {
  const uint16_t* keys = nullptr;
  LaneBlock* seeing[kMostLaneBlocks];
  int64_t count = 0;
  for (LaneBlock* b = f.blocks; b < f.blocks + blocks; ++b) {
    const bool unseen = position > b->last || (a.window > 0 && position + n <= b->first - a.window + 1);
    if (!unseen) seeing[count++] = b;
  }
  if (count > 0) keys = lane_keys(a, f, span, at, n);
  for (int64_t first = 0; first < count; first += kAbreast) {
    const int64_t here = std::min(kAbreast, count - first);
    for (int64_t i = 0; i < here; ++i) {
      multiply_halves({.a = reinterpret_cast<const std::byte*>(keys),
                       .a_stride = 2 * a.dim,
                       .b = seeing[first + i]->q,
                       .c = f.s + i * kHalfKeys * kLaneQueries,
                       .rows = kHalfKeys,
                       .steps = a.dim / 32});
    }
    for (int64_t i = 0; i < here; ++i) {
      const LaneBlock& b = *seeing[first + i];
      float* s = f.s + i * kHalfKeys * kLaneQueries;
      uint32_t* p = f.p + i * kHalfKeys / 2 * kLaneQueries;
      const bool whole =
          n == kHalfKeys && position + n - 1 <= b.first && (a.window == 0 || position > b.last - a.window);
      const auto softmax = a.dtype == DType::i8 ? (whole ? lane_softmax<false, true> : lane_softmax<true, true>)
                                                : (whole ? lane_softmax<false, false> : lane_softmax<true, false>);
      softmax(a, f, b, s, p, position, n);
    }
    for (int64_t i = 0; i < here; ++i) {
      multiply_halves({.a = reinterpret_cast<const std::byte*>(f.values),
                       .a_stride = 2 * kHalfKeys,
                       .b = f.p + i * kHalfKeys / 2 * kLaneQueries,
                       .c = seeing[first + i]->o,
                       .rows = a.dim,
                       .steps = kHalfKeys / 32,
                       .adds = true});
    }
  }
}

/// Queries [first, first + 32) of the task, as far as there are.
void start_lanes(const AttendTask& a, const LaneScratch& f, LaneBlock& b, int64_t first) {
  const int64_t n = std::min(kLaneQueries, a.tokens * a.group - first), pairs = a.dim / 2;
  std::memset(f.rows, 0, kLaneQueries * pairs * sizeof(float));
  for (int64_t r = 0; r < n; ++r) {
    const float* q = a.q + (first + r) / a.group * a.q_stride + (first + r) % a.group * a.dim;
    for (int64_t c = 0; c < a.dim; c += kLanes) {
      const Halves h = round_to_bf16(load(q + c));
      std::memcpy(f.rows + r * pairs + c / 2, &h, sizeof(h));
    }
  }
  transpose_squares(f.rows, pairs, kLaneQueries, pairs, reinterpret_cast<float*>(b.q), kLaneQueries);
  std::memset(b.o, 0, kLaneQueries * a.dim * sizeof(float));
  for (int64_t r = 0; r < kLaneQueries; ++r) {
    b.positions[r] = static_cast<int32_t>(a.first_query + (first + std::min(r, n - 1)) / a.group);
    b.m[r] = kLowest, b.l[r] = 0;
  }
  b.first = b.positions[0], b.last = b.positions[kLaneQueries - 1];
}

void finish_lanes(const AttendTask& a, const LaneScratch& f, const LaneBlock& b, int64_t first) {
  const int64_t n = std::min(kLaneQueries, a.tokens * a.group - first);
  for (int v = 0; v < 2; ++v) {
    const Vec inverse = 1.0f / load(b.l + v * kLanes);
    for (float* o = b.o + v * kLanes; o < b.o + a.dim * kLaneQueries; o += kLaneQueries) store(o, load(o) * inverse);
  }
  transpose_squares(b.o, kLaneQueries, a.dim, kLaneQueries, f.rows, a.dim);
  for (int64_t r = 0; r < n; ++r) {
    float* out = a.out + (first + r) / a.group * a.out_stride + (first + r) % a.group * a.dim;
    std::memcpy(out, f.rows + r * a.dim, a.dim * sizeof(float));
    if (a.log_sum) a.log_sum[first + r] = b.m[r] * 0.693147181f + __builtin_logf(b.l[r]);
  }
}

/// Queries [first, first + n) of the task.
void attend_halves_part(const AttendTask& a, int64_t first, int64_t n) {
  static thread_local Scratch scratch;
  const int64_t blocks = (n + kLaneQueries - 1) / kLaneQueries, dim = a.dim;
  const int64_t block = kLaneQueries * (dim / 2 + dim + 3), keys = kHalfKeys * dim / 2;
  const int64_t s = kAbreast * kHalfKeys * kLaneQueries;
  float* at = scratch.floats(blocks * block + 2 * keys + s + s / 2 + kLaneQueries * dim);
  const auto take = [&at](int64_t floats) { return std::exchange(at, at + floats); };
  LaneScratch f;
  f.keys = reinterpret_cast<uint16_t*>(take(keys)), f.values = reinterpret_cast<uint32_t*>(take(keys));
  f.s = take(s), f.p = reinterpret_cast<uint32_t*>(take(s / 2)), f.rows = take(kLaneQueries * dim);
  for (int64_t i = 0; i < blocks; ++i) {
    LaneBlock& b = f.blocks[i];
    b.q = reinterpret_cast<uint32_t*>(take(kLaneQueries * dim / 2)), b.o = take(kLaneQueries * dim);
    b.m = take(kLaneQueries), b.l = take(kLaneQueries);
    b.positions = reinterpret_cast<int32_t*>(take(kLaneQueries));
    start_lanes(a, f, b, first + i * kLaneQueries);
  }
  int64_t position = a.first_key;
  for (int i = 0; i < a.n_spans; position += a.spans[i++].count) {
    for (int64_t j = 0; j < a.spans[i].count; j += kHalfKeys)
      attend_lanes(a, f, blocks, a.spans[i], j, std::min(kHalfKeys, a.spans[i].count - j), position + j);
  }
  for (int64_t i = 0; i < blocks; ++i) finish_lanes(a, f, f.blocks[i], first + i * kLaneQueries);
}

void attend_halves(const AttendTask& a) {
  const int64_t queries = a.tokens * a.group;
  if (a.invariant || queries < kLanes || a.dtype == DType::f32 || a.dim % 32 != 0) return attend_in_floats(a);
  [[maybe_unused]] const HalvesSetup setup{};
  for (int64_t first = 0; first < queries; first += kMostLaneBlocks * kLaneQueries)
    attend_halves_part(a, first, std::min(kMostLaneBlocks * kLaneQueries, queries - first));
}
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
