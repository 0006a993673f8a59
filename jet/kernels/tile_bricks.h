// AMX's tiles, of 16 rows of 64 bytes at most, and their products. Part of bricks.h, with JET_AMX.
//
//   C [16 tokens][16 rows of w] += A [16 tokens][32 columns] B [16 pairs of columns][16 rows of w]    C fp32, A, B bf16
//                               += A [16 tokens][32 columns] B [ 8 quads of columns][16 rows of w]    C i32, A i8, B u8
//
// With JET_EMULATE the tiles are arrays.
namespace jet::JET_ISA_NAMESPACE {
namespace {

#if JET_AMX
constexpr int kTileTokens = 16, kTileColumns = 32, kTileRowBytes = 64, kTileBytes = 16 * kTileRowBytes;

/// The shapes of the eight tiles: of C (0 to 3), A (4, 5) and B (6, 7).
struct TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);
constexpr TileShapes kHalfTiles,
    kQuadTiles{.row_bytes = {64, 64, 64, 64, 32, 32, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 8, 8}};

#if defined(JET_EMULATE)
struct Tile {
  std::byte rows[16][kTileRowBytes];
};
thread_local const TileShapes* tile_shapes = nullptr;
thread_local Tile tiles[8];

template <int I>
JET_INLINE Tile& tile() {
  if (!tile_shapes) __builtin_trap();
  return tiles[I];
}
#endif

/// A thread's tiles have their shapes while this lives.
template <const TileShapes& SHAPES = kHalfTiles>
struct TileSetup {
#if defined(JET_EMULATE)
  TileSetup() { tile_shapes = &SHAPES; }
  ~TileSetup() { tile_shapes = nullptr; }
#else
  TileSetup() { asm volatile("ldtilecfg %0" ::"m"(SHAPES)); }
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
  Tile& t = tile<I>() = {};
  for (int i = 0; i < tile_shapes->rows[I]; ++i) std::memcpy(t.rows[i], from + i * stride, tile_shapes->row_bytes[I]);
#else
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(I), "r"(from), "r"(stride) : "memory");
#endif
}

template <int I>
JET_INLINE void tile_store(std::byte* to, int64_t stride) {
#if defined(JET_EMULATE)
  for (int i = 0; i < 16; ++i) std::memcpy(to + i * stride, tile<I>().rows[i], kTileRowBytes);
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

/// C += A B of bytes, A signed, B unsigned: C i32 [16][16], A [16][8 quads], B [8 quads][16].
template <int C, int A, int B>
JET_INLINE void tile_quad_dot() {
#if defined(JET_EMULATE)
  for (int i = 0; i < 16; ++i) {
    auto sum = load_as<Ints>(tile<C>().rows[i]);
    for (int k = 0; k < 8; ++k) {
      for (int j = 0; j < kLanes; ++j) {
        for (int q = 0; q < 4; ++q) {
          sum[j] +=
              static_cast<int8_t>(tile<A>().rows[i][4 * k + q]) * static_cast<uint8_t>(tile<B>().rows[k][4 * j + q]);
        }
      }
    }
    std::memcpy(tile<C>().rows[i], &sum, sizeof(sum));
  }
#else
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
#endif
}
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
