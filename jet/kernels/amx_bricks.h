// Products of many tokens in bf16 on AMX. Part of bricks.h, with JET_AMX (tile_bricks.h).
//
// A core's tile is 2 x 2 of C, or 1 x 2 at the end of the tokens. Slab: pairs x 32 rows, B tiles side by side.
// Packed activations: bf16 [tiles of 16 tokens][groups of 32 columns][16][32]. The columns' end is padded with zeros; a
// last tile's tokens beyond the end are whatever lies there, and are not put. Weights in blocks are rounded to bf16 in
// the slab: 2^-9 of each.
//
//   for a block of tokens, and of rows        their sums lie in the L2 cache
//     for a piece of the columns              the tokens' activations of it, too
//       for a slab of rows:   fill it;   for a tile of tokens: multiply, add to the sums
//     put the sums to out
//
// Bound by the tiles' loads and products, 1.6 TFLOP/s a core where products alone give 2.9; a quarter to a third is
// spent on slabs and sums.
namespace jet::JET_ISA_NAMESPACE {
namespace {

#if JET_AMX
constexpr int64_t kSlabRowBytes = kSlabRows * 4;
static_assert(kSlabRowBytes == 2 * kTileRowBytes);

struct AmxCore {
  using Setup = TileSetup<>;
  static constexpr int tokens = 2 * kTileTokens, least_tokens = kTileTokens;
  static constexpr int64_t piece = 768, slab_floats = piece / 2 * kSlabRows;
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

  /// Adds the products of a piece to the sums of a tile, four (T 32) or two C tiles one behind the other.
  template <int T>
  JET_INLINE static void multiply(const MatmulTask& m, int64_t token, const Piece& p, std::byte* sums) {
    const auto tile_of = [&](int i) { return sums + i * kTileBytes; };
    if (p.begin == 0) {
      tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
    } else {
      tile_load<0>(tile_of(0), kTileRowBytes), tile_load<1>(tile_of(1), kTileRowBytes);
      if (T > kTileTokens) tile_load<2>(tile_of(2), kTileRowBytes), tile_load<3>(tile_of(3), kTileRowBytes);
    }
    const std::byte *x = packed(m, token, p.begin / kTileColumns), *w = p.slab;
    const int64_t next = groups(m.w.cols) * kTileBytes, steps = groups(p.end - p.begin);
    for (int64_t i = 0; i < steps; ++i, x += kTileBytes, w += 16 * kSlabRowBytes) {
      tile_load<4>(x, kTileRowBytes);
      tile_load<6>(w, kSlabRowBytes), tile_load<7>(w + kTileRowBytes, kSlabRowBytes);
      tile_dot<0, 4, 6>(), tile_dot<1, 4, 7>();
      if constexpr (T > kTileTokens) {
        tile_load<5>(x + next, kTileRowBytes);
        tile_dot<2, 5, 6>(), tile_dot<3, 5, 7>();
      }
    }
    tile_store<0>(tile_of(0), kTileRowBytes), tile_store<1>(tile_of(1), kTileRowBytes);
    if (T > kTileTokens) tile_store<2>(tile_of(2), kTileRowBytes), tile_store<3>(tile_of(3), kTileRowBytes);
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

/// The sums of a block of tokens and rows, tile by tile, while the columns pass in pieces: out, whose lines of one
/// token lie pages apart, is written once. What is read again and again fits the 2 MiB of L2 that a core with tiles
/// has.
class TileSums {
 public:
  static constexpr int64_t tokens = 512, rows = 256, floats = tokens * rows;

  TileSums(float* at, int64_t n) : at_(reinterpret_cast<std::byte*>(at)), tiles_((n + 31) / 32) {}
  /// C tiles of token and row of the block.
  std::byte* tile(int64_t token, int64_t row) const {
    return at_ + ((row / kSlabRows * tiles_ + token / 32) * 4 + token % 32 / kTileTokens * 2) * kTileBytes;
  }
  /// To out, with the bias: the block's tokens from t0 and its rows from r0 on.
  void put(const MatmulTask& m, int64_t t0, int64_t n, int64_t r0, int64_t n_rows) const {
    for (int64_t t = 0; t < n; ++t) {
      float* out = m.out + (t0 + t) * m.out_stride + r0;
      const float* bias = m.bias ? m.bias + r0 : nullptr;
      int64_t r = 0;
      for (; r + kSlabRows <= n_rows; r += kSlabRows) {
        for (int v = 0; v < kSlabVectors; ++v) {
          const Vec sum = load(line(t, r, v));
          store(out + r + v * kLanes, bias ? sum + load(bias + r + v * kLanes) : sum);
        }
      }
      for (; r < n_rows; ++r) out[r] = (bias ? bias[r] : 0.0f) + line(t, r, r % kSlabRows / kLanes)[r % kLanes];
    }
  }

 private:
  /// A token's sums of 16 rows: vector v of a slab.
  JET_INLINE const float* line(int64_t token, int64_t row, int v) const {
    return reinterpret_cast<const float*>(tile(token, row) + v * kTileBytes + token % kTileTokens * kTileRowBytes);
  }

  std::byte* at_;
  int64_t tiles_;
};

template <>
void gemm<AmxCore>(const MatmulTask& m, int64_t row_begin, int64_t row_end) {
  static thread_local Scratch scratch;
  float* at = scratch.floats(AmxCore::slab_floats + TileSums::floats);
  auto* slab = reinterpret_cast<std::byte*>(at + TileSums::floats);
  const TileSetup<> setup;
  // Few tokens: the weights are read once, in the order in which they lie.
  const int64_t most_rows = m.n <= kFewTokens ? kSlabRows : TileSums::rows;
  const int64_t pieces = (m.w.cols + AmxCore::piece - 1) / AmxCore::piece;
  const int64_t length = AmxCore::groups((m.w.cols + pieces - 1) / pieces) * kTileColumns;
  for (int64_t t0 = 0; t0 < m.n; t0 += TileSums::tokens) {
    const int64_t n = std::min(TileSums::tokens, m.n - t0);
    for (int64_t r0 = row_begin, r1 = 0; r0 < row_end; r0 = r1) {
      r1 = std::min(row_end, r0 + most_rows);
      const TileSums sums(at, n);
      for (int64_t c = 0; c < m.w.cols; c += length) {
        for (int64_t row = r0; row < r1; row += kSlabRows) {
          const Piece p{row, c, std::min(m.w.cols, c + length), slab};
          AmxCore::fill(m.w, p);
          Ahead ahead(m.w, {.row = row + kSlabRows, .begin = c, .end = p.end, .slab = nullptr}, n / 32 + 1);
          each_tile<AmxCore::tokens, AmxCore::least_tokens>(0, n, [&]<int T>(int64_t t) {
            ahead.ask();
            AmxCore::multiply<T>(m, t0 + t, p, sums.tile(t, row - r0));
          });
        }
      }
      sums.put(m, t0, n, r0, r1 - r0);
    }
  }
}
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
