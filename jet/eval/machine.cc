#include "jet/eval/machine.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string_view>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "jet/base/error.h"
#include "jet/kernels/kernels.h"
#include "jet/tensor/quant.h"

namespace jet {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Runs `work` once unmeasured, then `passes` times; `units` is what one pass does.
Rate measure_rate(int passes, double units, const std::function<void()>& work) {
  require(passes > 0, "a measurement of {} passes; it needs at least one", passes);
  work();
  std::vector<double> rates;
  for (int i = 0; i < passes; ++i) rates.push_back(units / seconds_of(work));
  return {median(rates), *std::max_element(rates.begin(), rates.end())};
}

/// Keeps a result alive that nobody reads.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "m"(value) : "memory");
}

// 64 bytes, two 32-byte or four 16-byte registers: GCC splits what the target does not have.
typedef uint64_t Line __attribute__((vector_size(64)));
constexpr int64_t kLineBytes = sizeof(Line);

/// Four streams a thread keep more lines in flight than one prefetcher would.
[[gnu::always_inline]] inline uint64_t sum_lines(const Line* p, int64_t lines) {
  const int64_t quarter = lines / 4;
  Line a{}, b{}, c{}, d{};
  for (int64_t i = 0; i < quarter; ++i) {
    a += p[i];
    b += p[i + quarter];
    c += p[i + 2 * quarter];
    d += p[i + 3 * quarter];
  }
  a += b + c + d;
  return a[0] ^ a[7];
}

// acc = acc * x + y, kChains independent chains of one register each: latency 4 times two ports needs 8 of them, and
// AVX2 has 16 registers. x and y keep the values near 1 for ever.
constexpr int kChains = 12;
constexpr int64_t kRounds = 4'000'000;

template <class V>
[[gnu::always_inline]] inline void fma_chains(int64_t rounds) {
  volatile float seed = 1;
  const V x = V{} + 0.999f * seed, y = V{} + 0.001f * seed;
  V acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = V{} + seed * static_cast<float>(c);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = acc[c] * x + y;
  }
  V total{};
  for (int c = 0; c < kChains; ++c) total += acc[c];
  keep(total);
}

typedef float V4 __attribute__((vector_size(16)));
typedef float V8 __attribute__((vector_size(32)));
typedef float V16 __attribute__((vector_size(64)));

struct Readers {
  int width;  // floats a register
  void (*fma)(int64_t);
  uint64_t (*sum)(const Line*, int64_t);
};

void fma_base(int64_t r) { fma_chains<V4>(r); }
uint64_t sum_base(const Line* p, int64_t n) { return sum_lines(p, n); }

#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] void fma_v3(int64_t r) { fma_chains<V8>(r); }
[[gnu::target("avx2,fma")]] uint64_t sum_v3(const Line* p, int64_t n) { return sum_lines(p, n); }
[[gnu::target("avx512f")]] void fma_v4(int64_t r) { fma_chains<V16>(r); }
[[gnu::target("avx512f")]] uint64_t sum_v4(const Line* p, int64_t n) { return sum_lines(p, n); }
#endif

/// By hand and not by target_clones: its resolvers run before a sanitizer is ready.
Readers pick() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {16, fma_v4, sum_v4};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {8, fma_v3, sum_v3};
#endif
  return {4, fma_base, sum_base};
}

// Products of narrow numbers, summed in fp32 or int32: one instruction multiplies 32 bf16 or 64 bytes, on AMX's tiles
// 16 x 16 times as many.
struct Products {
  int products = 0;  // a round
  void (*run)(int64_t) = nullptr;
};

#if defined(__x86_64__)
[[gnu::target("avx512f,avx512bf16")]] void bf16_chains(int64_t rounds) {
  volatile int seed = 0x01010101;  // tiny: the sums stay small
  const auto x = (__m512bh)_mm512_set1_epi32(seed);
  __m512 acc[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) acc[c] = _mm512_set1_ps(static_cast<float>(c));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_dpbf16_ps(acc[c], x, x);
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) acc[0] = _mm512_add_ps(acc[0], acc[c]);
  keep(acc[0]);
}

[[gnu::target("avx512f,avx512vnni")]] void int8_chains(int64_t rounds) {
  volatile int seed = 0x01010101;
  const __m512i x = _mm512_set1_epi32(seed);
  __m512i acc[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) acc[c] = _mm512_set1_epi32(c);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_dpbusd_epi32(acc[c], x, x);
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) acc[0] = _mm512_add_epi32(acc[0], acc[c]);
  keep(acc[0]);
}

/// Without VNNI: bytes to pairs of 16 bits, and an addition.
[[gnu::target("avx2")]] void int8_pair_chains(int64_t rounds) {
  volatile int seed = 0x01010101;
  __m256i x = _mm256_set1_epi32(seed);
  __m256i acc[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) acc[c] = _mm256_set1_epi32(c);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      asm volatile("" : "+x"(x));  // or one product would serve all
      acc[c] = _mm256_add_epi16(acc[c], _mm256_maddubs_epi16(x, x));
    }
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) acc[0] = _mm256_add_epi16(acc[0], acc[c]);
  keep(acc[0]);
}

/// Four tiles of sums of 2 x 2 tiles of bf16 from 1 to 2: zeros would be faster. As bytes they are as good as others.
constexpr int kTileProducts = 4 * 16 * 16;  // a round, of the columns' 32 bf16 or 64 bytes
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

template <class F>
[[gnu::target("amx-tile"), gnu::always_inline]] inline void tile_rounds(int64_t rounds, F&& products) {
  static constexpr TileConfig config;  // in memory: GCC 12's ldtilecfg says that it reads 8 bytes of it
  _tile_loadconfig(&config);
  uint16_t numbers[16 * 32];
  for (int i = 0; i < 16 * 32; ++i) numbers[i] = static_cast<uint16_t>(0x3f80 + i % 128);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, numbers, 64);
  _tile_loadd(5, numbers, 64);
  _tile_loadd(6, numbers, 64);
  _tile_loadd(7, numbers, 64);
  for (int64_t r = 0; r < rounds; ++r) products();
  _tile_release();
}

[[gnu::target("amx-tile,amx-bf16")]] void bf16_tiles(int64_t rounds) {
  tile_rounds(rounds, [] [[gnu::target("amx-tile,amx-bf16")]] {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  });
}

[[gnu::target("amx-tile,amx-int8")]] void int8_tiles(int64_t rounds) {
  tile_rounds(rounds, [] [[gnu::target("amx-tile,amx-int8")]] {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  });
}
#endif

/// Nothing where this processor has no such instruction, or for fp32.
Products products(DType weights) {
#if defined(__x86_64__)
  const bool tiles = kernels().name == std::string_view("amx");
  if (weights == DType::bf16 && tiles) return {32 * kTileProducts, bf16_tiles};
  if (is_quantized(weights) && tiles) return {64 * kTileProducts, int8_tiles};
  if (weights == DType::bf16 && __builtin_cpu_supports("avx512bf16")) return {32 * kChains, bf16_chains};
  if (is_quantized(weights) && __builtin_cpu_supports("avx512vnni")) return {64 * kChains, int8_chains};
  if (is_quantized(weights) && __builtin_cpu_supports("avx2")) return {32 * kChains, int8_pair_chains};
#endif
  return {};
}

}  // namespace

double median(std::vector<double> values) {
  require(!values.empty(), "the median of no values");
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

struct ReadProbe::Memory {
  int64_t lines = 0;  // a thread
  std::unique_ptr<Line[]> data;

  void each(ThreadPool& pool, const std::function<void(Line* mine)>& body) const {
    pool.parallel_for(pool.size(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) body(data.get() + t * lines);
    });
  }
};

ReadProbe::ReadProbe(ThreadPool& pool, int64_t bytes) : pool_(pool), memory_(new Memory) {
  const int64_t threads = pool.size(), lines = bytes / kLineBytes / threads / 4 * 4;
  require(lines > 0, "a read of {} bytes by {} threads; give each at least {}", bytes, threads, 4 * kLineBytes);
  *memory_ = {lines, std::unique_ptr<Line[]>(new Line[lines * threads])};
  // Written by the thread that reads it (pages come near it) and not zero (zero pages may all be one).
  memory_->each(pool, [&](Line* mine) { std::fill_n(mine, lines, Line{1, 2, 3, 4, 5, 6, 7, 8}); });
}

ReadProbe::~ReadProbe() = default;

Rate ReadProbe::run(int passes) {
  const Readers k = pick();
  const int64_t lines = memory_->lines;
  return measure_rate(passes, static_cast<double>(lines * pool_.size() * kLineBytes),
                      [&] { memory_->each(pool_, [&](Line* mine) { keep(k.sum(mine, lines)); }); });
}

Rate fma_peak(ThreadPool& pool, int passes) {
  const Readers k = pick();
  const double flops = 2.0 * k.width * kChains * static_cast<double>(kRounds) * pool.size();
  return measure_rate(passes, flops, [&] {
    pool.parallel_for(pool.size(), 1, [&](int64_t begin, int64_t end) { k.fma(kRounds * (end - begin)); });
  });
}

Rate gemm_peak(ThreadPool& pool, DType weights, int passes) {
  const Products p = products(weights);
  if (!p.run) return fma_peak(pool, passes);
  const double operations = 2.0 * p.products * static_cast<double>(kRounds) * pool.size();
  return measure_rate(passes, operations, [&] {
    pool.parallel_for(pool.size(), 1, [&](int64_t begin, int64_t end) { p.run(kRounds * (end - begin)); });
  });
}

}  // namespace jet
