// The core for weights in blocks (tensor/quant.h), multiplied as integers straight from their packed order. Part of
// bricks.h. With u the stored number, x the activation as an integer and z the type's zero, a group of 32 columns gives
//
//   sum_c w_c x_c = scale_w scale_x (sum_c u_c x_c - z sum_c x_c)
//
// x is in 8 bits, one scale a group and token; in 7 bits beside int8 weights where only pairs of bytes can be
// multiplied, into 16 bits (QuadSum).
//
// packed activations              u32 [quads][T]: x0..x3
//   then for all tokens          -z * sum x: i32 [groups][T] a tile;   scales: f32 [groups][T] a tile
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

/// f(at) for the 64-byte steps of a group. Unrolled wholly, the sums of several tokens would leave the registers.
template <int T, int BYTES, class F>
JET_INLINE void each_step(F&& f) {
  if constexpr (T == 1) {
#pragma GCC unroll 8
    for (int at = 0; at < BYTES; at += 64) f(at);
  } else {
#pragma GCC unroll 2
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

/// 32 numbers times `inverse`, to the nearest integers as bytes; returns their sum.
JET_INLINE int32_t round_group(const float* x, float inverse, uint32_t (&quads)[8]) {
  using Narrow = typename VectorOf<int8_t, kLanes>::type;
  int8_t numbers[kGroupColumns];
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

template <DType TYPE>
struct QuadCore : CoreBase {
  static constexpr int tokens = 8, kRegisterTokens = kLanes == 16 ? 8 : 4;
  static constexpr int64_t piece = 1024, slab_floats = 0;
  using Sum = QuadSum<TYPE == DType::q8 ? 8 : 4>;
  static constexpr int32_t zero = TYPE == DType::q8 ? 128 : 8;
  static constexpr int64_t group_bytes = TYPE == DType::q8 ? 8 * 64 : 4 * 64;

  static int64_t packed_floats(int64_t n, int64_t cols) { return n * (cols / 4 + 2 * (cols / kGroupColumns)); }
  static int32_t* corrections(const MatmulTask& m, int64_t token) {
    return reinterpret_cast<int32_t*>(m.packed + m.n * m.w.cols / 4) + token * (m.w.cols / kGroupColumns);
  }
  static float* scales(const MatmulTask& m, int64_t token) {
    return m.packed + m.n * (m.w.cols / 4) + (m.n + token) * (m.w.cols / kGroupColumns);
  }

  /// A token's columns of one group as bytes, -z times their sum, and their scale.
  JET_INLINE static void pack_group(const float* x, uint32_t (&quads)[8], int32_t& correction, float& scale) {
    const float most = largest(x, kGroupColumns);
    correction = -zero * round_group(x, most > 0 ? Sum::largest / most : 0.0f, quads);
    scale = most / Sum::largest;
  }

  template <int T>
  static void pack(const MatmulTask& m, int64_t token) {
    auto* to = reinterpret_cast<uint32_t*>(m.packed + token * m.w.cols / 4);
    int32_t* correction = corrections(m, token);
    float* scale = scales(m, token);
    for (int t = 0; t < T; ++t) {
      const float* x = m.x + (token + t) * m.x_stride;
      for (int64_t g = 0; g < m.w.cols / kGroupColumns; ++g) {
        uint32_t quads[8];
        pack_group(x + g * kGroupColumns, quads, correction[g * T + t], scale[g * T + t]);
        for (int i = 0; i < 8; ++i) to[(g * 8 + i) * T + t] = quads[i];
      }
    }
  }

  static void fill(const Matrix&, const Piece&) {}

  /// Adds to sums the products of a group with tokens [T0, T0 + R) of a tile's T, whose dots stay in registers.
  template <int T0, int R, int T>
  JET_INLINE static void multiply_group(const BlockRows& rows, int64_t ahead, const uint32_t* x,
                                        const int32_t* correction, const float* scale_x, Vec (&sums)[T][kSlabVectors]) {
    Sum dots[R][kSlabVectors] = {};
    const auto start = [&](int t) JET_INLINE_LAMBDA { return Ints{} + correction[T0 + t]; };
    written_out<R>([&](auto t) JET_INLINE_LAMBDA {
      written_out<kSlabVectors>([&](auto v) JET_INLINE_LAMBDA { dots[t][v].begin(start(t)); });
    });
    const auto add_quad = [&](const Bytes(&w)[kSlabVectors]) JET_INLINE_LAMBDA {
      written_out<R>([&](auto t) JET_INLINE_LAMBDA {
        const Ints quad = broadcast_bits(x + T0 + t);
        written_out<kSlabVectors>([&](auto v) JET_INLINE_LAMBDA { dots[t][v].add(w[v], quad); });
      });
      x += T;
    };
    each_step<R, group_bytes>([&](int at) JET_INLINE_LAMBDA {
      Bytes w[kSlabVectors], upper[kSlabVectors];
      written_out<kSlabVectors>([&](auto v) JET_INLINE_LAMBDA {
        w[v] = load_as<Bytes>(rows.data[v] + at);
        if (T0 == 0 && v % kPanelVectors == 0) __builtin_prefetch(rows.data[v] + at + ahead, 0, 2);
        if constexpr (TYPE == DType::q4) {
          upper[v] = cast<Bytes>(cast<Lanes<uint16_t>>(w[v]) >> 4) & uint8_t{15};
          w[v] &= uint8_t{15};
        }
      });
      add_quad(w);
      if constexpr (TYPE == DType::q4) add_quad(upper);
    });
    written_out<kSlabVectors>([&](auto v) JET_INLINE_LAMBDA {
      const Vec scale = load(rows.scales[v]);
      written_out<R>([&](auto t) JET_INLINE_LAMBDA {
        sums[T0 + t][v] += to_floats(dots[t][v].total(start(t))) * (scale * scale_x[T0 + t]);
      });
    });
  }

  /// How far ahead of its weights a tile asks for others, in bytes from column c's: the first one for those that it
  /// comes to next, from the end of its piece on for the next piece's (the hardware's prefetchers stop at pages, and at
  /// the end of every row of panels, where one of two streams begins anew); the others, which have theirs in the
  /// caches, for the next piece's. Measured on a Zen 4: docs/performance.md.
  class AskAhead {
   public:
    AskAhead(const Matrix& w, int64_t token, const Piece& p) : first_(token % kBlockTokens == 0) {
      const int64_t panels = (p.next_row - p.row) / kPanelRows, groups = (p.next_begin - p.begin) / kGroupColumns;
      next_piece_ = (panels * (w.cols / kGroupColumns) + groups) * group_bytes;
      beyond_ = kBytes + next_piece_ - (p.end - p.begin) / kGroupColumns * group_bytes;
      turn_ = p.end - kBytes / group_bytes * kGroupColumns;
    }
    JET_INLINE int64_t from(int64_t c) const { return !first_ ? next_piece_ : c < turn_ ? kBytes : beyond_; }

   private:
    static constexpr int64_t kBytes = 4096;
    bool first_;
    int64_t next_piece_, beyond_, turn_;
  };

  // Weights pass once for all T tokens, group by group, so that memory is read in one stream while products are made.
  template <int T>
  JET_INLINE static void multiply(const MatmulTask& m, int64_t token, const Piece& p, Vec (&sums)[T][kSlabVectors]) {
    constexpr int R = T < kRegisterTokens ? T : kRegisterTokens;
    static_assert(T == R || T == 2 * R);
    const auto* x = reinterpret_cast<const uint32_t*>(m.packed + token * m.w.cols / 4) + p.begin / 4 * T;
    const int64_t first = p.begin / kGroupColumns * T;
    const int32_t* correction = corrections(m, token) + first;
    const float* scale_x = scales(m, token) + first;
    BlockRows rows(m.w, p, group_bytes);
    const AskAhead ahead(m.w, token, p);
    for (int64_t c = p.begin; c < p.end; c += kGroupColumns, x += 8 * T, correction += T, scale_x += T) {
      multiply_group<0, R>(rows, ahead.from(c), x, correction, scale_x, sums);
      if constexpr (T > R) multiply_group<R, R>(rows, 0, x, correction, scale_x, sums);
      for (int v = 0; v < kSlabVectors; ++v) rows.data[v] += group_bytes, rows.scales[v] += kPanelRows;
    }
  }
};
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
