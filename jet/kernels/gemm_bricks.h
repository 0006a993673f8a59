// out[t, r] = sum_c x[t, c] w[r, c] for many tokens, or for weights in blocks. Part of bricks.h.
//
// A core multiplies a tile, T tokens by kSlabRows rows over a piece of the columns, with its sums in registers: rows
// lie in lanes, a token's numbers are broadcast. Activations are packed once a product, in tiles of T tokens with the
// numbers of one step side by side. Weights in blocks lie in the order of the steps already (tensor/quant.h); others
// are copied into a slab in that order, once for a block of tokens.
//
//   for a block of kBlockTokens tokens        (its activations of one piece fit the L2 cache)
//     for a piece of the columns              (a slab of it fits the L1 cache)
//       for a slab of rows:   fill it;   for a tile of tokens: multiply, add to out
//
// Bound by the rate of FMA (or of integer dot products) from a dozen tokens on, by reading the weights below that.
namespace jet::JET_ISA_NAMESPACE {
namespace {

constexpr int kSlabVectors = 2, kSlabRows = kSlabVectors * kLanes;
constexpr int64_t kBlockTokens = 288, kFewTokens = 32, kRowTokens = 4;
static_assert(kBlockTokens % kPackTokens == 0);

struct Piece {
  int64_t row, begin, end;  // the slab's first row; the columns
  std::byte* slab;
  int64_t next_row = 0, next_begin = 0;  // of the piece after it
};

/// Asks for the rows of a slab, some lines a tile, while the slab before it is multiplied: too short for the hardware
/// to see that they follow one another.
class Ahead {
 public:
  Ahead(const Matrix& w, const Piece& p, int64_t tiles) {
    if (is_quantized(w.dtype)) return;
    const auto bytes = static_cast<int64_t>(size_of(w.dtype));
    stride_ = w.cols * bytes, row_lines_ = (p.end - p.begin) * bytes / 64;
    from_ = static_cast<const std::byte*>(w.data) + p.row * stride_ + p.begin * bytes;
    left_ = std::clamp<int64_t>(w.rows - p.row, 0, kSlabRows) * row_lines_;
    step_ = (left_ + tiles - 1) / tiles;
  }
  JET_INLINE void ask() {
    for (const int64_t end = std::max<int64_t>(left_ - step_, 0); left_ > end;) {
      --left_;
      __builtin_prefetch(from_ + left_ / row_lines_ * stride_ + left_ % row_lines_ * 64, 0, 2);
    }
  }

 private:
  const std::byte* from_ = nullptr;
  int64_t stride_ = 0, row_lines_ = 0, left_ = 0, step_ = 0;
};

/// sums [T][kSlabVectors] are added to out's rows, in the first piece to the bias; rows beyond the matrix are padding.
template <class Core, int T>
JET_INLINE void put_tile(const Vec (&sums)[T][kSlabVectors], const MatmulTask& m, int64_t token, const Piece& p) {
  const int64_t rows = std::min<int64_t>(kSlabRows, m.w.rows - p.row);
  const int64_t tokens = Core::least_tokens > 1 ? std::min<int64_t>(T, m.n - token) : T;
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
    if (t == tokens) break;
    float* out = m.out + (token + t) * m.out_stride + p.row;
    const float* before = p.begin > 0 ? out : m.bias ? m.bias + p.row : nullptr;
    if (rows == kSlabRows) {
      for (int v = 0; v < kSlabVectors; ++v) {
        store(out + v * kLanes, before ? sums[t][v] + load(before + v * kLanes) : sums[t][v]);
      }
    } else {
      float numbers[kSlabRows];
      for (int v = 0; v < kSlabVectors; ++v) store(numbers + v * kLanes, sums[t][v]);
      for (int64_t r = 0; r < rows; ++r) out[r] = (before ? before[r] : 0.0f) + numbers[r];
    }
  }
}

/// f.template operator()<T>(token) for tiles that cover [begin, end): T tokens while there are as many, then fewer. One
/// of LEAST tokens can reach beyond the end.
template <int T, int LEAST = 1, class F>
JET_INLINE void each_tile(int64_t begin, int64_t end, F&& f) {
  for (; end - begin >= (T > LEAST ? T : 1); begin += T) f.template operator()<T>(begin);
  if constexpr (T > LEAST) each_tile<(T == 12 ? 6 : T == 6 ? 4 : T / 2), LEAST>(begin, end, f);
}

/// What most cores share: tiles of any number of tokens, nothing to set up on a thread.
struct CoreBase {
  static constexpr int least_tokens = 1;
  struct Setup {};
};

template <class Core>
void pack(const MatmulTask& m, int64_t begin, int64_t end) {
  each_tile<Core::tokens>(begin, end, [&]<int T>(int64_t t) { Core::template pack<T>(m, t); });
}

template <class Core>
void gemm(const MatmulTask& m, int64_t row_begin, int64_t row_end) {
  static thread_local Scratch scratch;
  auto* slab = reinterpret_cast<std::byte*>(scratch.floats(Core::slab_floats));
  [[maybe_unused]] const typename Core::Setup setup{};
  // Few tokens: the weights are read once, in the order in which they lie.
  const bool few = m.n <= kFewTokens;
  const int64_t length = Core::piece;
  for (int64_t t0 = 0; t0 < m.n; t0 += kBlockTokens) {
    const int64_t t1 = std::min(m.n, t0 + kBlockTokens);
    const auto slab_times_tokens = [&](int64_t row, int64_t c) {
      const int64_t end = std::min(m.w.cols, c + length);
      const bool same_rows = few && end < m.w.cols;
      const Piece p{row, c, end, slab, same_rows ? row : row + kSlabRows, same_rows ? end : few ? 0 : c};
      Core::fill(m.w, p);
      Ahead ahead(m.w, {.row = few ? m.w.rows : row + kSlabRows, .begin = c, .end = p.end, .slab = nullptr},
                  (t1 - t0) / Core::tokens + 1);
      each_tile<Core::tokens, Core::least_tokens>(t0, t1, [&]<int T>(int64_t t) {
        ahead.ask();
        Vec sums[T][kSlabVectors] = {};
        for (int i = 0; i < T; ++i) __builtin_prefetch(m.out + (t + i) * m.out_stride + row, 1);
        Core::template multiply<T>(m, t, p, sums);
        put_tile<Core>(sums, m, t, p);
      });
    };
    if (few) {
      for (int64_t row = row_begin; row < row_end; row += kSlabRows) {
        for (int64_t c = 0; c < m.w.cols; c += length) slab_times_tokens(row, c);
      }
    } else {
      for (int64_t c = 0; c < m.w.cols; c += length) {
        for (int64_t row = row_begin; row < row_end; row += kSlabRows) slab_times_tokens(row, c);
      }
    }
  }
}

/// lanes x lanes numbers of 32 bits: v[i][j] <-> v[j][i], by exchanging blocks of 1, 2, 4, .. lanes.
template <int STEP = 1, class V, int... I>
JET_INLINE void transpose(V (&v)[kLanes], std::integer_sequence<int, I...> lanes) {
  if constexpr (STEP < kLanes) {
    for (int i = 0; i < kLanes; ++i) {
      if (i & STEP) continue;
      const V a = v[i], b = v[i + STEP];
      v[i] = __builtin_shufflevector(a, b, (I & STEP ? kLanes + I - STEP : I)...);
      v[i + STEP] = __builtin_shufflevector(a, b, (I & STEP ? kLanes + I : I + STEP)...);
    }
    transpose<2 * STEP>(v, lanes);
  }
}

/// out [columns, rows] = x [rows, columns] as far as whole squares of kLanes go.
[[maybe_unused]] void transpose_squares(const float* x, int64_t stride, int64_t rows, int64_t columns, float* out,
                                        int64_t out_stride) {
  for (int64_t i = 0; i + kLanes <= rows; i += kLanes) {
    for (int64_t j = 0; j + kLanes <= columns; j += kLanes) {
      Vec v[kLanes];
      for (int l = 0; l < kLanes; ++l) v[l] = load(x + (i + l) * stride + j);
      transpose(v, std::make_integer_sequence<int, kLanes>());
      for (int l = 0; l < kLanes; ++l) store(out + (j + l) * out_stride + i, v[l]);
    }
  }
}

/// fp32 products of any weights. Step: one column. Slab: [columns][kSlabRows] fp32, packed activations: [columns][T].
struct FloatCore : CoreBase {
  static constexpr int tokens = kLanes == 16 ? 12 : 6;
  static constexpr int64_t piece = 256, slab_floats = piece * kSlabRows;

  static int64_t packed_floats(int64_t n, int64_t cols) { return n * cols; }

  template <int T>
  static void pack(const MatmulTask& m, int64_t token) {
    float* to = m.packed + token * m.w.cols;
    const float* x = m.x + token * m.x_stride;
    for (int64_t c = 0; c < m.w.cols; ++c) {
      for (int t = 0; t < T; ++t) to[c * T + t] = x[t * m.x_stride + c];
    }
  }

  template <class W>
  static void fill_rows(const Matrix& w, const Piece& p) {
    auto* slab = reinterpret_cast<float*>(p.slab);
    const W* rows[kSlabRows];
    for (int r = 0; r < kSlabRows; ++r) {
      rows[r] = static_cast<const W*>(w.data) + std::min(p.row + r, w.rows - 1) * w.cols;
    }
    for (int first = 0; first < kSlabRows; first += kLanes) {
      int64_t c = p.begin;
      float* to = slab + first;
      if constexpr (std::is_same_v<W, bf16>) {
        // Pairs of columns change places together.
        for (; c + 2 * kLanes <= p.end; c += 2 * kLanes) {
          Ints v[kLanes];
          for (int i = 0; i < kLanes; ++i) v[i] = load_as<Ints>(rows[first + i] + c);
          transpose(v, std::make_integer_sequence<int, kLanes>());
          for (int i = 0; i < kLanes; ++i, to += 2 * kSlabRows) {
            store(to, cast<Vec>(v[i] << 16));
            store(to + kSlabRows, cast<Vec>(v[i] & static_cast<int32_t>(0xffff0000)));
          }
        }
      }
      for (; c + kLanes <= p.end; c += kLanes) {
        Vec v[kLanes];
        for (int i = 0; i < kLanes; ++i) v[i] = load(rows[first + i] + c);
        transpose(v, std::make_integer_sequence<int, kLanes>());
        for (int i = 0; i < kLanes; ++i, to += kSlabRows) store(to, v[i]);
      }
      for (; c < p.end; ++c) {
        for (int i = 0; i < kLanes; ++i) slab[(c - p.begin) * kSlabRows + first + i] = to_float(rows[first + i][c]);
      }
    }
  }

  /// Weights in blocks, for machines without integer dot products.
  static void fill_blocks(const Matrix& w, const Piece& p) {
    auto* slab = reinterpret_cast<float*>(p.slab);
    for (int r = 0; r < kSlabRows; ++r) {
      const int64_t row = std::min(p.row + r, w.rows - 1);
      for (int64_t c = p.begin; c < p.end; ++c) slab[(c - p.begin) * kSlabRows + r] = element(w, row, c);
    }
  }

  static void fill(const Matrix& w, const Piece& p) {
    switch (w.dtype) {
      case DType::bf16: return fill_rows<bf16>(w, p);
      case DType::f16: return fill_rows<f16>(w, p);
      case DType::q8:
      case DType::q4: return fill_blocks(w, p);
      default: return fill_rows<float>(w, p);
    }
  }

  template <int T>
  JET_INLINE static void multiply(const MatmulTask& m, int64_t token, const Piece& p, Vec (&sums)[T][kSlabVectors]) {
    const float* x = m.packed + token * m.w.cols + p.begin * T;
    const auto* w = reinterpret_cast<const float*>(p.slab);
#pragma GCC unroll 4
    for (int64_t c = p.begin; c < p.end; ++c, x += T, w += kSlabRows) {
      Vec row[kSlabVectors];
      for (int v = 0; v < kSlabVectors; ++v) row[v] = load(w + v * kLanes);
      for (int t = 0; t < T; ++t) {
        const Vec value = broadcast(x[t]);
        for (int v = 0; v < kSlabVectors; ++v) sums[t][v] += value * row[v];
      }
    }
  }

 private:
  static float element(const Matrix& w, int64_t row, int64_t c) {
    const int64_t panel = row / kPanelRows, r = row % kPanelRows, group = c / kGroupColumns;
    const int64_t block = panel * (w.cols / kGroupColumns) + group;
    const float scale = to_float(static_cast<const f16*>(w.scales)[block * kPanelRows + r]);
    const int64_t quad = c % kGroupColumns / 4, i = c % 4;
    const auto* u = static_cast<const uint8_t*>(w.data);
    if (w.dtype == DType::q8) return scale * (u[(block * 8 + quad) * 64 + r * 4 + i] - 128);
    const uint8_t both = u[(block * 4 + quad / 2) * 64 + r * 4 + i];
    return scale * ((quad % 2 ? both >> 4 : both & 15) - 8);
  }
};

#if JET_BF16_DOT
/// Products of bf16 pairs, summed in fp32; activations are rounded to bf16. Step: two columns.
/// Slab: [pairs][kSlabRows], packed activations: [pairs][T], both of 32 bits.
struct Bf16Core : CoreBase {
  static constexpr int tokens = 12;
  static constexpr int64_t piece = 512, slab_floats = piece / 2 * kSlabRows;

  static int64_t packed_floats(int64_t n, int64_t cols) { return n * cols / 2; }

  template <int T>
  static void pack(const MatmulTask& m, int64_t token) {
    auto* to = reinterpret_cast<uint32_t*>(m.packed) + token * m.w.cols / 2;
    const float* x = m.x + token * m.x_stride;
    for (int64_t c = 0; c < m.w.cols; c += 2) {
      for (int t = 0; t < T; ++t) {
        const float* pair = x + t * m.x_stride + c;
        to[c / 2 * T + t] = to_bf16(pair[0]).bits | uint32_t{to_bf16(pair[1]).bits} << 16;
      }
    }
  }

  static void fill(const Matrix& w, const Piece& p) {
    auto* slab = reinterpret_cast<int32_t*>(p.slab);
    const int64_t begin = p.begin / 2, end = p.end / 2;
    for (int first = 0; first < kSlabRows; first += kLanes) {
      const bf16* rows[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        rows[i] = static_cast<const bf16*>(w.data) + std::min(p.row + first + i, w.rows - 1) * w.cols;
      }
      int64_t c = begin;
      for (; c + kLanes <= end; c += kLanes) {
        Ints v[kLanes];
        for (int i = 0; i < kLanes; ++i) v[i] = load_as<Ints>(rows[i] + 2 * c);
        transpose(v, std::make_integer_sequence<int, kLanes>());
        for (int i = 0; i < kLanes; ++i) std::memcpy(slab + (c - begin + i) * kSlabRows + first, &v[i], sizeof(Ints));
      }
      for (; c < end; ++c) {
        for (int i = 0; i < kLanes; ++i) std::memcpy(slab + (c - begin) * kSlabRows + first + i, rows[i] + 2 * c, 4);
      }
    }
  }

  template <int T>
  JET_INLINE static void multiply(const MatmulTask& m, int64_t token, const Piece& p, Vec (&sums)[T][kSlabVectors]) {
    const auto* x = reinterpret_cast<const uint32_t*>(m.packed) + token * m.w.cols / 2 + p.begin / 2 * T;
    const auto* w = reinterpret_cast<const int32_t*>(p.slab);
    for (int64_t c = p.begin; c < p.end; c += 2, x += T, w += kSlabRows) {
      Ints row[kSlabVectors];
      for (int v = 0; v < kSlabVectors; ++v) row[v] = load_as<Ints>(w + v * kLanes);
      for (int t = 0; t < T; ++t) {
        const Ints pair = broadcast_bits(x + t);
        for (int v = 0; v < kSlabVectors; ++v) sums[t][v] = bf16_dot(sums[t][v], row[v], pair);
      }
    }
  }
};
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
