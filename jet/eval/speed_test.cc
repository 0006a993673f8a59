#include "jet/eval/speed.h"

#include <gtest/gtest.h>

#include "jet/base/error.h"

namespace jet {
namespace {

/// Qwen2.5-1.5B: 28 layers, hidden 1536, 12 / 2 heads of 128, MLP 8960.
ModelSpec qwen_1_5b() {
  ModelSpec s;
  s.vocab_size = 151936, s.hidden_size = 1536, s.intermediate_size = 8960, s.max_position_embeddings = 32768;
  Attention::Config a;
  a.heads = 12, a.kv_heads = 2, a.head_dim = 128, a.qkv_bias = true;
  s.layers.assign(28, a);
  return s;
}

TEST(Speed, DecodeMovesWeightsAndCacheOnce) {
  ModelSpec s = qwen_1_5b();
  const int64_t weights = 2 * parameter_count(s);
  EXPECT_NEAR(static_cast<double>(weights), 3.09e9, 0.005e9);
  EXPECT_DOUBLE_EQ(decode_bytes(s, weights, 0, 2), static_cast<double>(weights));
  EXPECT_DOUBLE_EQ(decode_bytes(s, weights, 1000, 2) - decode_bytes(s, weights, 0, 2), 1000 * 28672.0);
  s.tie_word_embeddings = false;  // a second table, of which one row is read
  EXPECT_NEAR(decode_bytes(s, 2 * parameter_count(s), 0, 2), static_cast<double>(weights), 4e3);
}

TEST(Speed, PrefillCountsProductsAndVisiblePairs) {
  ModelSpec s = qwen_1_5b();
  const double table = 151936.0 * 1536, first = prefill_flops(s, 0, 1);
  EXPECT_NEAR(first, 2.0 * static_cast<double>(parameter_count(s)) + 28 * 4 * 12 * 128, 1e3);
  EXPECT_NEAR(prefill_flops(s, 0, 512) / 512, 2.67e9, 0.02e9);
  EXPECT_DOUBLE_EQ(prefill_flops(s, 1000, 1) - first, 1000.0 * 28 * 4 * 12 * 128);
  // Two calls do the work of one, but for the extra row of logits.
  EXPECT_NEAR(prefill_flops(s, 0, 64) + prefill_flops(s, 64, 36), prefill_flops(s, 0, 100) + 2 * table, 1e3);
  for (auto& l : s.layers) std::get<Attention::Config>(l).window = 10;
  EXPECT_DOUBLE_EQ(prefill_flops(s, 1000, 1), prefill_flops(s, 9, 1));
}

TEST(Machine, MeasuresAndNames) {
  ThreadPool pool(2);
  const Rate read = read_bandwidth(pool, int64_t{8} << 20, 3), fma = fma_peak(pool, 3);
  EXPECT_GT(read.median, 1e8);
  EXPECT_GE(read.best, read.median);
  EXPECT_GT(fma.median, 1e8);
  EXPECT_GE(fma.best, fma.median);
  EXPECT_THROW(read_bandwidth(pool, 100), Error);
  EXPECT_THROW(fma_peak(pool, 0), Error);
  EXPECT_NE(machine_name(2).find("2 of "), std::string::npos);
  EXPECT_DOUBLE_EQ(median({3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_THROW(median({}), Error);
}

TEST(Speed, MeasuresEachContextOnce) {
  ModelSpec s;
  s.vocab_size = 64, s.hidden_size = 32, s.intermediate_size = 64, s.max_position_embeddings = 128;
  Attention::Config a;
  a.heads = 2, a.kv_heads = 1, a.head_dim = 16;
  s.layers.assign(2, a);
  const auto engine = Engine::random(s, 1, DType::f32, {.threads = 1});
  SpeedOptions options;
  options.prefill = 16, options.decode = 4, options.repeats = 2;
  int64_t told = 0;
  options.on_tokens = [&](int64_t n) { told += n; };
  const auto points = measure(*engine, {32, 0, 32}, options);
  EXPECT_EQ(told, tokens_to_measure({32, 0, 32}, options));
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].context, 32);
  EXPECT_EQ(points[1].cache_bytes, 2 * 2 * 16 * 32 * 2);
  EXPECT_GE(points[1].held_bytes, points[1].cache_bytes);
  for (const auto& p : points) {
    EXPECT_GT(p.prefill_tps, 0);
    EXPECT_GT(p.decode_gbs, 0);
  }
  EXPECT_EQ(deepest_context(s, options), 112);
  EXPECT_NO_THROW(measure(*engine, {112}, options));
  EXPECT_THROW(measure(*engine, {113}, options), Error);
  EXPECT_THROW(measure(*engine, {-1}, options), Error);
  options.fill_seconds = -1;
  EXPECT_EQ(measure(*engine, {0, 32}, options).size(), 1u);
}

}  // namespace
}  // namespace jet
