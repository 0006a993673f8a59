// Dot products of small integers and of bf16, which the vector extension cannot express: the one place where the
// instruction sets differ by more than their width. Part of bricks.h. In a lane of 32 bits:
//
//   w  | w0 | w1 | w2 | w3 |  unsigned bytes      JET_INT_DOT 1   | w0 x0 + w1 x1 | w2 x2 + w3 x3 |, which saturate,
//   x  | x0 | x1 | x2 | x3 |  signed, a token's                   then their sum         (AVX2, AVX-512BW)
//                                                 JET_INT_DOT 2   w0 x0 + .. + w3 x3     (VNNI)
//   a  |   a0    |    a1   |  bf16                JET_BF16_DOT    sum + a0 b0 + a1 b1    (AVX512_BF16)
//
// With JET_EMULATE the same functions are loops, so that the kernels built on them are tested on machines that lack the
// instructions.
namespace jet::JET_ISA_NAMESPACE {
namespace {

template <class T>
using Lanes = typename VectorOf<T, kLanes * 4 / sizeof(T)>::type;  // as many bytes as Vec has
using Ints = Lanes<int32_t>;
using Shorts = Lanes<int16_t>;
using Bytes = Lanes<uint8_t>;

template <class To, class From>
JET_INLINE To cast(const From& x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  std::memcpy(&y, &x, sizeof(y));
  return y;
}
template <class V>
JET_INLINE V load_as(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
/// Four bytes in every lane.
JET_INLINE Ints broadcast_bits(const uint32_t* p) {
  Ints v = {};
  return v + static_cast<int32_t>(*p);
}
JET_INLINE Vec to_floats(Ints v) { return __builtin_convertvector(v, Vec); }

#if JET_INT_DOT >= 1
/// Per 32-bit lane: a0 b0 + a1 b1 of signed 16-bit numbers.
JET_INLINE Ints pair_dot(Shorts a, Shorts b) {
#if defined(JET_EMULATE)
  Ints r;
  for (int i = 0; i < kLanes; ++i) r[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
  return r;
#elif JET_LANES == 16
  return cast<Ints>(_mm512_madd_epi16(cast<__m512i>(a), cast<__m512i>(b)));
#else
  return cast<Ints>(_mm256_madd_epi16(cast<__m256i>(a), cast<__m256i>(b)));
#endif
}
#endif

#if JET_INT_DOT == 1
/// Per lane of 16 bits: w0 x0 + w1 x1, w unsigned, x signed; sums beyond 16 bits saturate.
JET_INLINE Shorts byte_pair_dot(Bytes w, Ints x) {
#if JET_LANES == 16
  return cast<Shorts>(_mm512_maddubs_epi16(cast<__m512i>(w), cast<__m512i>(x)));
#else
  return cast<Shorts>(_mm256_maddubs_epi16(cast<__m256i>(w), cast<__m256i>(x)));
#endif
}

/// Per lane of 32 bits `start` and the sum of w0 x0 + .. + w3 x3 over a group's quads, w unsigned in BITS bits,
/// |x| <= largest. total() is told the start again, for sums on the way that have 16 bits.
template <int BITS>
struct QuadSum;
template <>
struct QuadSum<4> {
  static constexpr float largest = 127;  // eight pairs of 15 * 127 fit 16 bits
  Shorts sum = {};
  JET_INLINE void begin(Ints) { sum = Shorts{}; }
  JET_INLINE void add(Bytes w, Ints x) { sum += byte_pair_dot(w, x); }
  JET_INLINE Ints total(Ints start) const { return start + pair_dot(sum, Shorts{} + int16_t{1}); }
};
template <>
struct QuadSum<8> {
  static constexpr float largest = 64;  // one pair of 255 * 64 does
  Ints sum = {};
  JET_INLINE void begin(Ints start) { sum = start; }
  JET_INLINE void add(Bytes w, Ints x) { sum += pair_dot(byte_pair_dot(w, x), Shorts{} + int16_t{1}); }
  JET_INLINE Ints total(Ints) const { return sum; }
};
#elif JET_INT_DOT == 2
template <int BITS>
struct QuadSum {
  static constexpr float largest = 127;
  Ints sum = {};
  JET_INLINE void begin(Ints start) { sum = start; }
  /// Per lane: sum += w0 x0 + .. + w3 x3, w unsigned, x signed.
  JET_INLINE void add(Bytes w, Ints x) {
#if defined(JET_EMULATE)
    const auto s = cast<Lanes<int8_t>>(x);
    for (int i = 0; i < 4 * kLanes; ++i) sum[i / 4] += w[i] * s[i];
#else
    sum = cast<Ints>(_mm512_dpbusd_epi32(cast<__m512i>(sum), cast<__m512i>(w), cast<__m512i>(x)));
#endif
  }
  JET_INLINE Ints total(Ints) const { return sum; }
};
#endif

#if JET_BF16_DOT
/// Per lane: sum + a0 b0 + a1 b1 of bf16 pairs. The instruction rounds after each product; so does the loop.
JET_INLINE Vec bf16_dot(Vec sum, Ints a, Ints b) {
#if defined(JET_EMULATE)
  const Vec a1 = cast<Vec>(a & static_cast<int32_t>(0xffff0000)), a0 = cast<Vec>(a << 16);
  const Vec b1 = cast<Vec>(b & static_cast<int32_t>(0xffff0000)), b0 = cast<Vec>(b << 16);
  sum += a1 * b1;
  return sum + a0 * b0;
#else
  return cast<Vec>(_mm512_dpbf16_ps(cast<__m512>(sum), cast<__m512bh>(a), cast<__m512bh>(b)));
#endif
}

using Halves = VectorOf<uint16_t, kLanes>::type;
/// To the nearest bf16, as jet::to_bf16 does it; the instruction takes denormals for 0.
JET_INLINE Halves round_to_bf16(Vec v) {
#if defined(JET_EMULATE)
  Halves h;
  for (int i = 0; i < kLanes; ++i) h[i] = to_bf16(v[i]).bits;
  return h;
#else
  return cast<Halves>(_mm512_cvtneps_pbh(cast<__m512>(v)));
#endif
}
#endif

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
