// Products of some tokens and weights in blocks, as bytes on AMX. Part of bricks.h, with JET_AMX (tile_bricks.h).
//
// A panel's group of 32 columns is a B tile as it lies (tensor/quant.h), so weights are read once and nothing is made
// of them but, in int4, bytes. Each group's sums are stored, scaled and added up in vectors, in QuadCore's order: both
// give the same numbers. Bound by reading the weights up to 16 tokens, then by scaling: five vector operations for 16
// sums of 32 products.
//
// packed activations, each 16 tokens   i8 [groups][16][32];  -z * sum x: i32 [groups][16];  scales: f32 [groups][16]
namespace jet::JET_ISA_NAMESPACE {
namespace {

#if JET_AMX
constexpr int64_t kQuadCoreTokens = 8;   // up to here a half-empty tile loses to vectors: 0.87 of QuadCore's rate
constexpr int64_t kMostQuadTokens = 64;  // of weights in blocks: with more, rounding them to a slab pays (AmxCore)

template <DType TYPE>
struct QuadTileCore {
  using Setup = TileSetup<kQuadTiles>;
  using Quads = QuadCore<TYPE>;
  static constexpr int tokens = kTileTokens, least_tokens = kTileTokens;
  static constexpr int64_t piece = Quads::piece, slab_floats = 0;
  static constexpr int64_t kGroupBytes = kTileTokens * kGroupColumns, kAtOnce = 8;
  using Dots = std::byte[kAtOnce][kSlabVectors][kTileBytes];  // of some groups: i32 [16 tokens][16 rows]

  struct PackedTile {
    std::byte* numbers;
    int32_t* correction;
    float* scale;
  };
  static int64_t packed_floats(int64_t n, int64_t cols) {
    return (n + kTileTokens - 1) / kTileTokens * (cols / kGroupColumns) * (kGroupBytes / 4 + 2 * kTileTokens);
  }
  static PackedTile packed(const MatmulTask& m, int64_t token) {
    const int64_t groups = m.w.cols / kGroupColumns;
    float* at = m.packed + packed_floats(token / kTileTokens * kTileTokens, m.w.cols);
    float* rest = at + groups * kGroupBytes / 4;
    return {reinterpret_cast<std::byte*>(at), reinterpret_cast<int32_t*>(rest), rest + groups * kTileTokens};
  }

  template <int T>
  static void pack(const MatmulTask& m, int64_t token) {
    for (int64_t t = token; t < std::min(token + T, m.n); ++t) {
      const PackedTile to = packed(m, t);
      const int64_t row = t % kTileTokens;
      const float* x = m.x + t * m.x_stride;
      for (int64_t g = 0; g < m.w.cols / kGroupColumns; ++g, x += kGroupColumns) {
        uint32_t quads[8];
        Quads::pack_group(x, quads, to.correction[g * kTileTokens + row], to.scale[g * kTileTokens + row]);
        std::memcpy(to.numbers + g * kGroupBytes + row * kGroupColumns, quads, sizeof(quads));
      }
    }
  }

  static void fill(const Matrix&, const Piece&) {}

  template <int T>
  JET_INLINE static void multiply(const MatmulTask& m, int64_t token, const Piece& p, Vec (&sums)[T][kSlabVectors]) {
    alignas(64) Dots dots;
    const PackedTile x = packed(m, token);
    BlockRows rows(m.w, p, Quads::group_bytes);
    const int64_t first = p.begin / kGroupColumns, last = p.end / kGroupColumns;
    for (int64_t g = first; g < last; g += kAtOnce) {
      const int64_t n = std::min<int64_t>(kAtOnce, last - g);
      for (int64_t i = 0; i < n; ++i) {
        put_dots(x.numbers + (g + i) * kGroupBytes, rows, dots[i]);
        for (auto& data : rows.data) data += Quads::group_bytes;
      }
      for (int t = 0; t < std::min<int64_t>(T, m.n - token); t += kSums) {
        add_dots(x.correction + g * kTileTokens + t, x.scale + g * kTileTokens + t, n, t, rows, dots, &sums[t]);
      }
      for (auto& scales : rows.scales) scales += n * kPanelRows;
    }
  }

 private:
  static constexpr int kSums = 8;  // tokens whose sums stay in registers

  JET_INLINE static void put_dots(const std::byte* x, const BlockRows& rows,
                                  std::byte (&dots)[kSlabVectors][kTileBytes]) {
    const void* quads[kSlabVectors];
    alignas(64) std::byte wide[kSlabVectors][8][kTileRowBytes];
    for (int v = 0; v < kSlabVectors; ++v) {
      quads[v] = TYPE == DType::q8 ? static_cast<const void*>(rows.data[v]) : wide[v];
      for (int at = 0; at < Quads::group_bytes; at += 64) {
        __builtin_prefetch(rows.data[v] + at + 2048, 0, 2);
        if constexpr (TYPE == DType::q4) {
          const auto u = load_as<Lanes<uint16_t>>(rows.data[v] + at);
          const auto lower = cast<Bytes>(u) & uint8_t{15}, upper = cast<Bytes>(u >> 4) & uint8_t{15};
          std::memcpy(wide[v][at / 32], &lower, sizeof(lower)),
              std::memcpy(wide[v][at / 32 + 1], &upper, sizeof(upper));
        }
      }
    }
    tile_zero<0>(), tile_zero<1>();
    tile_load<4>(x, kGroupColumns);
    tile_load<6>(static_cast<const std::byte*>(quads[0]), kTileRowBytes);
    tile_load<7>(static_cast<const std::byte*>(quads[1]), kTileRowBytes);
    tile_quad_dot<0, 4, 6>(), tile_quad_dot<1, 4, 7>();
    tile_store<0>(dots[0], kTileRowBytes), tile_store<1>(dots[1], kTileRowBytes);
  }

  /// Some tokens' dots of `n` groups to their sums.
  JET_INLINE static void add_dots(const int32_t* correction, const float* scale_x, int64_t n, int token,
                                  const BlockRows& rows, const Dots& dots, Vec (*sums)[kSlabVectors]) {
    Vec own[kSums][kSlabVectors];
    std::memcpy(own, sums, sizeof(own));
    for (int64_t i = 0; i < n; ++i, correction += kTileTokens, scale_x += kTileTokens) {
      for (int v = 0; v < kSlabVectors; ++v) {
        const Vec scale = load(rows.scales[v] + i * kPanelRows);
        for (int t = 0; t < kSums; ++t) {
          const auto dot = load_as<Ints>(dots[i][v] + (token + t) * kTileRowBytes);
          own[t][v] += to_floats(dot + correction[t]) * (scale * scale_x[t]);
        }
      }
    }
    std::memcpy(sums, own, sizeof(own));
  }
};
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
