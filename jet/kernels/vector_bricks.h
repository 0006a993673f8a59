// Vectors of JET_LANES floats (GCC's vector extension: operators work lane by lane), loads that widen, sums, exp.
// Part of bricks.h.
//
//   f16    s eeeee mmmmmmmmmm, its bits moved to where fp32 has them, is the number times 2^-112
//   sums   lanes by halves, two vectors at once:   [a0 a1 a2 a3] [b0 b1 b2 b3] -> [a0+a2 a1+a3 b0+b2 b1+b3] -> ..
//   e^x    2^n e^r,  n = round(x / ln 2),  r = x - n ln 2;   n goes into the exponent's bits, e^r is a polynomial
#pragma GCC diagnostic ignored "-Wpsabi"

namespace jet::JET_ISA_NAMESPACE {
namespace {

#define JET_INLINE [[gnu::always_inline]] inline
#define JET_INLINE_LAMBDA __attribute__((always_inline))

constexpr int kLanes = JET_LANES;

/// f(0) .. f(N - 1), the numbers as constants. Vectors may alias all memory, so sums in an array stay in registers
/// through a loop only where its indices are constants from the start.
template <int N, class F>
JET_INLINE void written_out(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) JET_INLINE_LAMBDA { (f(std::integral_constant<int, I>{}), ...); }
  (std::make_integer_sequence<int, N>{});
}

template <class T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(sizeof(T) * N), aligned(sizeof(T)), may_alias));
};
template <int N>
using Floats = typename VectorOf<float, N>::type;
using Vec = Floats<kLanes>;

JET_INLINE Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
JET_INLINE void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
JET_INLINE Vec broadcast(float x) { return x - Vec{}; }

JET_INLINE Vec load(const bf16* p) {
  using Bits = typename VectorOf<uint32_t, kLanes>::type;
  const auto half = *reinterpret_cast<const typename VectorOf<uint16_t, kLanes>::type*>(p);
  const Bits bits = __builtin_convertvector(half, Bits) << 16;
  Vec v;
  std::memcpy(&v, &bits, sizeof(v));
  return v;
}

// GCC 12 converts bytes by itself one at a time.
JET_INLINE Vec load(const int8_t* p) {
  using Wide = typename VectorOf<int32_t, kLanes>::type;
#if JET_INT_DOT && JET_LANES == 16 && !defined(JET_EMULATE)
  const auto wide = _mm512_maskz_cvtepi8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif JET_INT_DOT && JET_LANES == 8
  const auto wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#else
  const auto wide = __builtin_convertvector(*reinterpret_cast<const typename VectorOf<int8_t, kLanes>::type*>(p), Wide);
#endif
  return __builtin_convertvector(reinterpret_cast<Wide>(wide), Vec);
}

// An f16's exponent and mantissa, moved to where fp32 has them, are the number times 2^-112, denormals included;
// infinity and NaN then only lack the upper exponent bits.
JET_INLINE Vec load(const f16* p) {
#if JET_INT_DOT && JET_LANES == 16 && !defined(JET_EMULATE)
  return reinterpret_cast<Vec>(_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#elif JET_INT_DOT && JET_LANES == 8
  return reinterpret_cast<Vec>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#else
  using Bits = typename VectorOf<uint32_t, kLanes>::type;
  const auto half = *reinterpret_cast<const typename VectorOf<uint16_t, kLanes>::type*>(p);
  const Bits wide = __builtin_convertvector(half, Bits);
  const Bits shifted = (wide & 0x7fff) << 13;
  Vec v;
  std::memcpy(&v, &shifted, sizeof(v));
  v *= 0x1p112f;
  Bits bits;
  std::memcpy(&bits, &v, sizeof(v));
  bits |= (wide & 0x8000) << 16;
  bits |= ((wide & 0x7c00) == 0x7c00) & 0x7f800000u;
  std::memcpy(&v, &bits, sizeof(v));
  return v;
#endif
}

// One step of summing lanes by halves, on two vectors at once. Both hold sums in GROUP partial ones each; the result
// holds those of both, with half as many partial sums. Groups of up to four stay in their 128 bits, a's before b's,
// where shuffles are cheap:   GROUP 4:  [a0 a1 a2 a3], [b0 b1 b2 b3] -> [a0+a2 a1+a3 b0+b2 b1+b3].
template <int GROUP, int... I>
JET_INLINE Vec fold(const Vec& a, const Vec& b, std::integer_sequence<int, I...>) {
  constexpr int half = GROUP / 2;
  constexpr auto from = [](int i) {
    if (GROUP > 4) return i / half * GROUP + i % half;
    const int k = i % 2;
    return i % 4 / 2 * kLanes + i / 4 * 4 + k / half * GROUP + k % half;
  };
  return __builtin_shufflevector(a, b, from(I)...) + __builtin_shufflevector(a, b, (from(I) + half)...);
}

/// Lane i: the sum of all lanes of v[i]. Every sum is taken in the same order.
template <int GROUP = kLanes>
JET_INLINE Vec lane_sums(const Vec (&v)[GROUP]) {
  if constexpr (GROUP == 1) {
    return v[0];
  } else {
    Vec next[GROUP / 2];
    for (int i = 0; i < GROUP / 2; ++i) {
      const int first = GROUP > 4 ? i / 4 * 8 + i % 4 : 2 * i;
      next[i] = fold<GROUP>(v[first], v[GROUP > 4 ? first + 4 : first + 1], std::make_integer_sequence<int, kLanes>());
    }
    return lane_sums<GROUP / 2>(next);
  }
}

/// out[i] = the sum of all lanes of v[i].
template <int N>
JET_INLINE void sums(const Vec (&v)[N], float* out) {
  for (int first = 0; first < N; first += kLanes) {
    Vec some[kLanes] = {};
    for (int i = 0; i < kLanes && first + i < N; ++i) some[i] = v[first + i];
    const Vec total = lane_sums(some);
    for (int i = 0; i < kLanes && first + i < N; ++i) out[first + i] = total[i];
  }
}

/// a b + c, rounded as lanes are: what a compiler makes of a row's last columns differs from one loop to the next.
JET_INLINE float multiply_add(float a, float b, float c) {
#if JET_LANES > 4 || defined(__FP_FAST_FMAF)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

/// e^x for x <= 88 (Cephes expf: 2^n times a polynomial on |r| <= ln 2 / 2; relative error below 2e-7). Below -87 it
/// stays at e^-87. NaN stays NaN.
JET_INLINE Vec exp_to_88(Vec x) {
  using Bits = typename VectorOf<uint32_t, kLanes>::type;
  x = x < -87.0f ? broadcast(-87.0f) : x;
  const Vec shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer part lands in the low bits
  const Vec n = shifted - 12582912.0f;
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  Bits power;
  std::memcpy(&power, &shifted, sizeof(power));
  power = (power - 0x4b400000u + 127u) << 23;
  Vec scale;
  std::memcpy(&scale, &power, sizeof(scale));
  return p * scale;
}
/// x / (1 + e^-y): silu where y is x, gelu_tanh where y is 2 sqrt(2 / pi) (x + 0.044715 x^3).
template <Gate GATE>
JET_INLINE Vec gate_of(Vec x) {
  const Vec y = GATE == Gate::silu ? x : x * 1.5957691216f * (x * x * 0.044715f + 1.0f);
  const Vec minus = -y < 88.0f ? -y : broadcast(88.0f);
  return x / (exp_to_88(minus) + 1.0f);
}

template <Gate GATE>
void gated_row(const float* g, const float* u, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, gate_of<GATE>(load(g + i)) * load(u + i));
  if (i == n) return;
  float rest[2][kLanes] = {};
  std::memcpy(rest[0], g + i, (n - i) * sizeof(float)), std::memcpy(rest[1], u + i, (n - i) * sizeof(float));
  store(rest[0], gate_of<GATE>(load(rest[0])) * load(rest[1]));
  std::memcpy(out + i, rest[0], (n - i) * sizeof(float));
}

[[maybe_unused]] void gated(Gate gate, const float* g, const float* u, float* out, int64_t n) {
  gate == Gate::silu ? gated_row<Gate::silu>(g, u, out, n) : gated_row<Gate::gelu_tanh>(g, u, out, n);
}

JET_INLINE float exp_to_88(float x) { return exp_to_88(broadcast(x))[0]; }

template <class W>
void widen_numbers(const W* x, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, load(x + i));
  for (; i < n; ++i) out[i] = to_float(x[i]);
}

/// As to_bf16() rounds one.
[[maybe_unused]] void round_numbers(const float* x, bf16* out, int64_t n) {
  using Bits = typename VectorOf<uint32_t, kLanes>::type;
  using Half = typename VectorOf<uint16_t, kLanes>::type;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Bits u = *reinterpret_cast<const Bits*>(x + i), upper = u >> 16;
    const Bits rounded = (u + 0x7fff + (upper & 1)) >> 16, nan = upper | 0x40;
    *reinterpret_cast<Half*>(out + i) = __builtin_convertvector((u & 0x7fffffff) > 0x7f800000 ? nan : rounded, Half);
  }
  for (; i < n; ++i) out[i] = to_bf16(x[i]);
}

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
