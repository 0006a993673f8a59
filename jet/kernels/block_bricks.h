// Cores for weights in blocks (tensor/quant.h), multiplied as integers straight from their packed order. Part of
// bricks.h. With u the stored number, x the activation as an integer and z the type's zero, a group of 32 columns gives
//
//   sum_c w_c x_c = scale_w scale_x (sum_c u_c x_c - z sum_c x_c)
//
// PairCore (int8 where bytes cannot be multiplied without overflow): x in 16 bits, one scale a token; a quad u0..u3 is
// taken as the pairs (u0, u2) and (u1, u3), which cost one instruction each to unpack.
// QuadCore (int4; with VNNI also int8): x in 8 bits, one scale a group and token.
//
// packed activations   PairCore  u32 [quads][T][2]: (x0, x2), (x1, x3);   QuadCore  u32 [quads][T]: x0..x3
//   then for all tokens     z * sum x: i32 [groups][T] a tile;   scales: f32, PairCore [T] a tile, QuadCore [groups][T]
namespace jet::JET_ISA_NAMESPACE {
namespace {

#if JET_INT_DOT >= 1
constexpr int kPanelVectors = kPanelRows / kLanes;  // a panel's quad is that many vectors

/// Where a slab's weights and scales lie: of vector v. A matrix may end with a slab's first panel; then the second is
/// computed from it again and thrown away.
struct BlockRows {
  const uint8_t* data[kSlabVectors];
  const f16* scales[kSlabVectors];

  BlockRows(const Matrix& w, const Piece& p, int64_t group_bytes) {
    const int64_t groups = w.cols / kGroupColumns, first = p.begin / kGroupColumns;
    for (int v = 0; v < kSlabVectors; ++v) {
      const int64_t row = p.row + v * kLanes, panel = std::min(row / kPanelRows, (w.rows - 1) / kPanelRows);
      const int64_t block = panel * groups + first, r = row % kPanelRows;
      data[v] = static_cast<const uint8_t*>(w.data) + block * group_bytes + r * 4;
      scales[v] = static_cast<const f16*>(w.scales) + block * kPanelRows + r;
    }
  }
};

/// The hardware's prefetchers stop at pages: one token asks some lines ahead (measured: 15 to 30 % more bytes/s). With
/// several tiles a piece waits in the caches while the next one is on its way.
template <int T>
JET_INLINE void prefetch_next(const uint8_t* here, int64_t next_piece) {
  __builtin_prefetch(here + (T == 1 ? 2048 : next_piece), 0, 2);
}

/// f(at) for the 64-byte steps of a group. Unrolled wholly, the sums of several tokens would leave the registers.
template <int T, int BYTES, class F>
JET_INLINE void each_step(F&& f) {
  if constexpr (T == 1) {
#pragma GCC unroll 8
    for (int at = 0; at < BYTES; at += 64) f(at);
  } else {
#pragma GCC unroll 1
    for (int at = 0; at < BYTES; at += 64) f(at);
  }
}

/// The largest |x|, over 32 columns or more.
JET_INLINE float largest(const float* x, int64_t n) {
  Vec top = {};
  for (int64_t c = 0; c < n; c += kLanes) {
    const Vec v = load(x + c), a = v < 0 ? -v : v;
    top = a > top ? a : top;
  }
  float most = 0;
  for (int i = 0; i < kLanes; ++i) most = top[i] > most ? top[i] : most;
  return most;
}

/// 32 numbers times `inverse`, to the nearest integers (|.| < 2^22), as bytes or shorts; returns their sum.
template <class Small, class Quad>
JET_INLINE int32_t round_group(const float* x, float inverse, Quad (&quads)[8]) {
  static_assert(sizeof(Quad) == 4 * sizeof(Small));
  using Narrow = typename VectorOf<Small, kLanes>::type;
  Small numbers[kGroupColumns];
  Ints sums = {};
  for (int c = 0; c < kGroupColumns; c += kLanes) {
    const Ints v = cast<Ints>(load(x + c) * inverse + 12582912.0f) - 0x4b400000;
    sums += v;
    const Narrow small = __builtin_convertvector(v, Narrow);
    std::memcpy(numbers + c, &small, sizeof(small));
  }
  std::memcpy(quads, numbers, sizeof(numbers));
  int32_t sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += sums[i];
  return sum;
}

// 256 * 127: what 8 bits hold exactly, 16 bits do too.
constexpr float kLargest16 = 32512.0f;

struct PairCore : CoreBase {
  static constexpr int tokens = 4;
  static constexpr int64_t piece = 1024, slab_floats = 0;

  static int64_t packed_floats(int64_t n, int64_t cols) { return n * (cols / 2 + cols / kGroupColumns + 1); }
  static int32_t* corrections(const MatmulTask& m, int64_t token) {
    return reinterpret_cast<int32_t*>(m.packed + m.n * m.w.cols / 2) + token * (m.w.cols / kGroupColumns);
  }
  static float* scales(const MatmulTask& m, int64_t token) {
    return m.packed + m.n * (m.w.cols / 2 + m.w.cols / kGroupColumns) + token;
  }

  template <int T>
  static void pack(const MatmulTask& m, int64_t token) {
    auto* to = reinterpret_cast<uint64_t*>(m.packed + token * m.w.cols / 2);
    int32_t* correction = corrections(m, token);
    for (int t = 0; t < T; ++t) {
      const float* x = m.x + (token + t) * m.x_stride;
      const float most = largest(x, m.w.cols), inverse = most > 0 ? kLargest16 / most : 0.0f;
      scales(m, token)[t] = most / kLargest16;
      for (int64_t g = 0; g < m.w.cols / kGroupColumns; ++g) {
        uint64_t quads[8];
        correction[g * T + t] = 128 * round_group<int16_t>(x + g * kGroupColumns, inverse, quads);
        for (int i = 0; i < 8; ++i) {
          const uint64_t q = quads[i], middle = q & 0x0000ffffffff0000;
          to[(g * 8 + i) * T + t] = (q ^ middle) | (middle >> 16 & 0xffff0000) | (middle << 16 & 0xffff00000000);
        }
      }
    }
  }

  static void fill(const Matrix&, const Piece&) {}

  template <int T>
  JET_INLINE static void multiply(const MatmulTask& m, int64_t token, const Piece& p, Vec (&sums)[T][kSlabVectors]) {
    const auto* x = reinterpret_cast<const uint32_t*>(m.packed + token * m.w.cols / 2) + p.begin / 2 * T;
    const int32_t* correction = corrections(m, token) + p.begin / kGroupColumns * T;
    BlockRows rows(m.w, p, 8 * 64);
    for (int64_t c = p.begin; c < p.end; c += kGroupColumns, correction += T) {
      Ints dots[T][kSlabVectors] = {};
      each_step<T, 8 * 64>([&](int at) {
        Shorts even[kSlabVectors], odd[kSlabVectors];
        for (int v = 0; v < kSlabVectors; ++v) {
          const auto u = load_as<Lanes<uint16_t>>(rows.data[v] + at);
          if (v % kPanelVectors == 0) prefetch_next<T>(rows.data[v] + at, piece * kPanelRows);
          even[v] = cast<Shorts>(u & uint16_t{255}), odd[v] = cast<Shorts>(u >> 8);
        }
        for (int t = 0; t < T; ++t) {
          const auto x02 = cast<Shorts>(broadcast_bits(x + 2 * t)), x13 = cast<Shorts>(broadcast_bits(x + 2 * t + 1));
          for (int v = 0; v < kSlabVectors; ++v) dots[t][v] += pair_dot(even[v], x02) + pair_dot(odd[v], x13);
        }
        x += 2 * T;
      });
      for (int v = 0; v < kSlabVectors; ++v) {
        const Vec scale = load(rows.scales[v]);
        for (int t = 0; t < T; ++t) sums[t][v] += to_floats(dots[t][v] - correction[t]) * scale;
        rows.data[v] += 8 * 64, rows.scales[v] += kPanelRows;
      }
    }
    for (int t = 0; t < T; ++t) {
      for (int v = 0; v < kSlabVectors; ++v) sums[t][v] *= scales(m, token)[t];
    }
  }
};

template <DType TYPE>
struct QuadCore : CoreBase {
  static constexpr int tokens = kLanes == 16 ? 8 : 4;
  static constexpr int64_t piece = 1024, slab_floats = 0;
  static constexpr int32_t zero = TYPE == DType::q8 ? 128 : 8;
  static constexpr int64_t group_bytes = TYPE == DType::q8 ? 8 * 64 : 4 * 64;

  static int64_t packed_floats(int64_t n, int64_t cols) { return n * (cols / 4 + 2 * (cols / kGroupColumns)); }
  static int32_t* corrections(const MatmulTask& m, int64_t token) {
    return reinterpret_cast<int32_t*>(m.packed + m.n * m.w.cols / 4) + token * (m.w.cols / kGroupColumns);
  }
  static float* scales(const MatmulTask& m, int64_t token) {
    return m.packed + m.n * (m.w.cols / 4) + (m.n + token) * (m.w.cols / kGroupColumns);
  }

  template <int T>
  static void pack(const MatmulTask& m, int64_t token) {
    auto* to = reinterpret_cast<uint32_t*>(m.packed + token * m.w.cols / 4);
    int32_t* correction = corrections(m, token);
    float* scale = scales(m, token);
    for (int t = 0; t < T; ++t) {
      const float* x = m.x + (token + t) * m.x_stride;
      for (int64_t g = 0; g < m.w.cols / kGroupColumns; ++g) {
        const float most = largest(x + g * kGroupColumns, kGroupColumns), inverse = most > 0 ? 127.0f / most : 0.0f;
        uint32_t quads[8];
        correction[g * T + t] = zero * round_group<int8_t>(x + g * kGroupColumns, inverse, quads);
        for (int i = 0; i < 8; ++i) to[(g * 8 + i) * T + t] = quads[i];
        scale[g * T + t] = most / 127.0f;
      }
    }
  }

  static void fill(const Matrix&, const Piece&) {}

  template <int T>
  JET_INLINE static void add_quad(const Bytes (&w)[kSlabVectors], const uint32_t* x, QuadSum (&dots)[T][kSlabVectors]) {
    for (int t = 0; t < T; ++t) {
      const Ints quad = broadcast_bits(x + t);
      for (int v = 0; v < kSlabVectors; ++v) dots[t][v].add(w[v], quad);
    }
  }

  template <int T>
  JET_INLINE static void multiply(const MatmulTask& m, int64_t token, const Piece& p, Vec (&sums)[T][kSlabVectors]) {
    const auto* x = reinterpret_cast<const uint32_t*>(m.packed + token * m.w.cols / 4) + p.begin / 4 * T;
    const int64_t first = p.begin / kGroupColumns * T;
    const int32_t* correction = corrections(m, token) + first;
    const float* scale_x = scales(m, token) + first;
    BlockRows rows(m.w, p, group_bytes);
    for (int64_t c = p.begin; c < p.end; c += kGroupColumns, correction += T, scale_x += T) {
      QuadSum dots[T][kSlabVectors];
      each_step<T, group_bytes>([&](int at) {
        Bytes w[kSlabVectors], upper[kSlabVectors];
        for (int v = 0; v < kSlabVectors; ++v) {
          w[v] = load_as<Bytes>(rows.data[v] + at);
          if (v % kPanelVectors == 0) prefetch_next<T>(rows.data[v] + at, piece / kGroupColumns * group_bytes);
          if constexpr (TYPE == DType::q4) {
            upper[v] = cast<Bytes>(cast<Lanes<uint16_t>>(w[v]) >> 4) & uint8_t{15};
            w[v] &= uint8_t{15};
          }
        }
        add_quad<T>(w, x, dots);
        x += T;
        if constexpr (TYPE == DType::q4) {
          add_quad<T>(upper, x, dots);
          x += T;
        }
      });
      for (int v = 0; v < kSlabVectors; ++v) {
        const Vec scale = load(rows.scales[v]);
        for (int t = 0; t < T; ++t) {
          sums[t][v] += to_floats(dots[t][v].total() - correction[t]) * (scale * scale_x[t]);
        }
        rows.data[v] += group_bytes, rows.scales[v] += kPanelRows;
      }
    }
  }
};
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
