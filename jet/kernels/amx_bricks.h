// Products of bf16 on AMX, on tiles of 16 rows of 64 bytes. Part of bricks.h, with JET_AMX.
//
//   C [16 tokens][16 rows of w] += A [16 tokens][32 columns] B [16 pairs of columns][16 rows of w]    C fp32, A, B bf16
//
// With JET_EMULATE the tiles are arrays.
//
// A core's tile is 2 x 2 of C, or 1 x 2 at the end of the tokens. Slab: Bf16Core's, pairs x 32 rows, which are B tiles
// side by side. Packed activations: bf16 [tiles of 16 tokens][groups of 32 columns][16][32]. The columns' end is padded
// with zeros; a last tile's tokens beyond the end are whatever lies there, and are not put. Weights in blocks are
// rounded to bf16 in the slab: 2^-9 of each.
namespace jet::JET_ISA_NAMESPACE {
namespace {

#if JET_AMX
constexpr int kTileTokens = 16, kTileColumns = 32, kTileRowBytes = 64, kTileBytes = 16 * kTileRowBytes;
constexpr int64_t kSlabRowBytes = kSlabRows * 4;
static_assert(kSlabRowBytes == 2 * kTileRowBytes && kBlockTokens % (2 * kTileTokens) == 0);

#if defined(JET_EMULATE)
struct Tile {
  std::byte rows[16][kTileRowBytes];
};
thread_local bool tiles_configured = false;
thread_local Tile tiles[8];

template <int I>
JET_INLINE Tile& tile() {
  if (!tiles_configured) __builtin_trap();
  return tiles[I];
}
#endif

/// A thread's tiles have their shape, 16 rows of 64 bytes, while this lives.
struct TileSetup {
#if defined(JET_EMULATE)
  TileSetup() { tiles_configured = true; }
  ~TileSetup() { tiles_configured = false; }
#else
  TileSetup() {
    struct Config {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static constexpr Config config;
    static_assert(sizeof(Config) == 64);
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  ~TileSetup() { asm volatile("tilerelease" ::: "memory"); }
#endif
  TileSetup(const TileSetup&) = delete;
  TileSetup& operator=(const TileSetup&) = delete;
};

// The compiler's own functions (GCC 12) do not say that a tile's load reads memory: stores could move behind it.
template <int I>
JET_INLINE void tile_zero() {
#if defined(JET_EMULATE)
  tile<I>() = {};
#else
  asm volatile("tilezero %%tmm%c0" ::"i"(I));
#endif
}

template <int I>
JET_INLINE void tile_load(const std::byte* from, int64_t stride) {
#if defined(JET_EMULATE)
  for (int i = 0; i < 16; ++i) std::memcpy(tile<I>().rows[i], from + i * stride, kTileRowBytes);
#else
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(I), "r"(from), "r"(stride) : "memory");
#endif
}

template <int I>
JET_INLINE void tile_store(Vec* to, int64_t stride) {
#if defined(JET_EMULATE)
  for (int i = 0; i < 16; ++i) std::memcpy(reinterpret_cast<std::byte*>(to) + i * stride, tile<I>().rows[i], 64);
#else
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(I), "r"(to), "r"(stride) : "memory");
#endif
}

/// C += A B. The instruction sums first and second columns of pairs by themselves, each in order; so do the loops.
template <int C, int A, int B>
JET_INLINE void tile_dot() {
#if defined(JET_EMULATE)
  for (int i = 0; i < 16; ++i) {
    const std::byte* a = tile<A>().rows[i];
    Vec first = {}, second = {};
    for (int k = 0; k < 16; ++k) {
      const Ints w = load_as<Ints>(tile<B>().rows[k]);
      bf16 pair[2];
      std::memcpy(pair, a + 4 * k, sizeof(pair));
      first += to_float(pair[0]) * cast<Vec>(w << 16);
      second += to_float(pair[1]) * cast<Vec>(w & static_cast<int32_t>(0xffff0000));
    }
    const Vec sum = load_as<Vec>(tile<C>().rows[i]) + (first + second);
    std::memcpy(tile<C>().rows[i], &sum, sizeof(sum));
  }
#else
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
#endif
}

struct AmxCore {
  using Setup = TileSetup;
  static constexpr int tokens = 2 * kTileTokens, least_tokens = kTileTokens;
  static constexpr int64_t piece = Bf16Core::piece, slab_floats = Bf16Core::slab_floats;
  static_assert(piece % kTileColumns == 0 && kTileColumns == kGroupColumns);

  static int64_t groups(int64_t cols) { return (cols + kTileColumns - 1) / kTileColumns; }
  static int64_t packed_floats(int64_t n, int64_t cols) {
    return (n + kTileTokens - 1) / kTileTokens * groups(cols) * kTileBytes / 4;
  }
  /// The token's columns of one group; those of the next one follow kTileBytes later.
  static std::byte* packed(const MatmulTask& m, int64_t token, int64_t group) {
    const int64_t tile = token / kTileTokens * groups(m.w.cols) + group;
    return reinterpret_cast<std::byte*>(m.packed) + tile * kTileBytes + token % kTileTokens * kTileRowBytes;
  }

  template <int T>
  static void pack(const MatmulTask& m, int64_t token) {
    for (int64_t t = token; t < token + T; ++t) {
      const float* x = m.x + t * m.x_stride;
      for (int64_t g = 0; g < groups(m.w.cols); ++g, x += kTileColumns) {
        const int64_t columns = std::min<int64_t>(kTileColumns, m.w.cols - g * kTileColumns);
        float padded[kTileColumns] = {};
        if (columns < kTileColumns) std::memcpy(padded, x, columns * sizeof(float));
        const float* from = columns < kTileColumns ? padded : x;
        for (int c = 0; c < kTileColumns; c += kLanes) {
          const Halves h = round_to_bf16(load(from + c));
          std::memcpy(packed(m, t, g) + 2 * c, &h, sizeof(h));
        }
      }
    }
  }

  static void fill(const Matrix& w, const Piece& p) {
    if (w.dtype == DType::q8) return fill_blocks<DType::q8>(w, p);
    if (w.dtype == DType::q4) return fill_blocks<DType::q4>(w, p);
    Bf16Core::fill(w, p);
    const int64_t pairs = (p.end - p.begin) / 2, padded = groups(p.end - p.begin) * kTileColumns / 2;
    std::memset(p.slab + pairs * kSlabRowBytes, 0, (padded - pairs) * kSlabRowBytes);
  }

  template <int T>
  JET_INLINE static void multiply(const MatmulTask& m, int64_t token, const Piece& p, Vec (&sums)[T][kSlabVectors]) {
    const std::byte *x = packed(m, token, p.begin / kTileColumns), *w = p.slab;
    const int64_t next = groups(m.w.cols) * kTileBytes, steps = groups(p.end - p.begin);
    tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
    for (int64_t i = 0; i < steps; ++i, x += kTileBytes, w += 16 * kSlabRowBytes) {
      tile_load<4>(x, kTileRowBytes);
      tile_load<6>(w, kSlabRowBytes), tile_load<7>(w + kTileRowBytes, kSlabRowBytes);
      tile_dot<0, 4, 6>(), tile_dot<1, 4, 7>();
      if constexpr (T > kTileTokens) {
        tile_load<5>(x + next, kTileRowBytes);
        tile_dot<2, 5, 6>(), tile_dot<3, 5, 7>();
      }
    }
    tile_store<0>(&sums[0][0], sizeof(sums[0])), tile_store<1>(&sums[0][1], sizeof(sums[0]));
    if constexpr (T > kTileTokens) {
      tile_store<2>(&sums[kTileTokens][0], sizeof(sums[0])), tile_store<3>(&sums[kTileTokens][1], sizeof(sums[0]));
    }
  }

 private:
  template <DType TYPE>
  static void fill_blocks(const Matrix& w, const Piece& p) {
    constexpr int64_t bytes = QuadCore<TYPE>::group_bytes;
    BlockRows rows(w, p, bytes);
    std::byte* slab = p.slab;
    for (int64_t c = p.begin; c < p.end; c += kGroupColumns, slab += kGroupColumns / 2 * kSlabRowBytes) {
      for (int v = 0; v < kSlabVectors; ++v) {
        const Vec scale = load(rows.scales[v]);
        std::byte* to = slab + v * kTileRowBytes;
        for (int at = 0; at < bytes; at += 64) {
          const auto u = load_as<Ints>(rows.data[v] + at);
          to = put_quad<QuadCore<TYPE>::zero>(TYPE == DType::q8 ? u : u & 0x0f0f0f0f, scale, to);
          if constexpr (TYPE == DType::q4) to = put_quad<QuadCore<TYPE>::zero>(u >> 4 & 0x0f0f0f0f, scale, to);
        }
        rows.data[v] += bytes, rows.scales[v] += kPanelRows;
      }
    }
  }

  /// Four columns of 16 rows as two pairs; returns where the next ones go.
  template <int32_t ZERO>
  JET_INLINE static std::byte* put_quad(Ints u, Vec scale, std::byte* to) {
    for (int pair = 0; pair < 2; ++pair, u >>= 16, to += kSlabRowBytes) {
      const Halves first = round_to_bf16(to_floats((u & 255) - ZERO) * scale);
      const Halves second = round_to_bf16(to_floats((u >> 8 & 255) - ZERO) * scale);
      const Ints both = __builtin_convertvector(first, Ints) | __builtin_convertvector(second, Ints) << 16;
      std::memcpy(to, &both, sizeof(both));
    }
    return to;
  }
};
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
