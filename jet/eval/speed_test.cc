#include "jet/eval/speed.h"
#include "jet/eval/tiny_model.h"

#include <gtest/gtest.h>

#include <algorithm>

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

TEST(Speed, AKnownModelCostsWhatItShould) {
  ModelSpec s = qwen_1_5b();
  const CountTypes bf16 = engine_types(DType::bf16);
  EXPECT_NEAR(static_cast<double>(weight_bytes(s, bf16)), 3.09e9, 0.005e9);
  const auto step = [&](int64_t context) { return count_model(s, {.context = context}, bf16).total(); };
  EXPECT_DOUBLE_EQ(step(0).state_read_bytes, 0);
  EXPECT_DOUBLE_EQ(step(1000).state_read_bytes, 1000 * 28672);
  EXPECT_NEAR(step(0).weight_bytes, static_cast<double>(weight_bytes(s, bf16)), 4e3);
  // Two FLOP a weight; four a number of a visible key.
  EXPECT_NEAR(token_flops(s, 0), 2.0 * static_cast<double>(parameter_count(s)), 2e-3 * token_flops(s, 0));
  EXPECT_DOUBLE_EQ(token_flops(s, 1000) - token_flops(s, 0), 1000.0 * 28 * 4 * 12 * 128);
  EXPECT_NEAR(count_prompt(s, 0, 512, 512, bf16).total().flops / 512, 2.67e9, 0.02e9);
  s.tie_word_embeddings = false;  // a second table, of which one row is read
  EXPECT_NEAR(step(0).weight_bytes, 3.09e9, 0.005e9);
}

ModelSpec tiny_hybrid() {
  ModelSpec s = tiny();
  Gla::Config g;
  g.heads = g.kv_heads = 2, g.dk = g.dv = 16;
  s.layers[0] = g;
  std::get<Attention::Config>(s.layers[1]).window = 20;
  return s;
}

TEST(Speed, FixedStatesCostTheirType) {
  const auto bytes = [](EngineOptions o) {
    return Engine::random(tiny_hybrid(), 1, DType::f32, o)->sequence_bytes(100);
  };
  const int64_t numbers = 2 * 16 * 20, fixed = 2 * 16 * 16;  // keys and values of the window; the recurrent state
  EXPECT_EQ(bytes({}), 2 * numbers + 4 * fixed);
  EXPECT_EQ(bytes({}), cache_bytes(tiny_hybrid(), 100));
  EXPECT_EQ(bytes({.state = DType::bf16}), 2 * numbers + 2 * fixed);
  EXPECT_EQ(bytes({.kv = DType::i8}), numbers + 2 * 20 * 4 + 4 * fixed);  // a scale a row
}

TEST(Speed, SyntheticDepthsAreLikeRealOnes) {
  const auto engine = Engine::random(tiny_hybrid(), 1, DType::f32, {.threads = 1});
  const auto a = engine->create(), b = engine->create(), real = engine->create();
  engine->prefill(*real, std::vector<int32_t>(50, 1));
  a->fill_synthetic(50, 7);
  b->fill_synthetic(30, 7);  // whatever was there is gone
  b->fill_synthetic(50, 7);
  EXPECT_EQ(a->length(), 50);
  for (const auto& [layer, name] : {std::pair{0, "recurrent"}, {1, "keys"}, {1, "values"}}) {
    const std::vector<float> x = a->read(layer, name);
    EXPECT_EQ(x.size(), real->read(layer, name).size()) << name;
    EXPECT_EQ(x, b->read(layer, name)) << name;
    EXPECT_GT(*std::max_element(x.begin(), x.end()), 0) << name;
  }
  const auto next = [&](Sequence& s) {
    const auto logits = engine->prefill(s, std::vector<int32_t>{3});
    return std::vector<float>(logits.begin(), logits.end());
  };
  EXPECT_EQ(next(*a), next(*b));
  EXPECT_THROW(a->fill_synthetic(129, 7), Error);
  EXPECT_THROW(a->fill_synthetic(-1, 7), Error);
}

TEST(Speed, SyntheticWindowsAreWhole) {
  ModelSpec s = tiny_hybrid();
  s.max_position_embeddings = 1024;
  for (const int sinks : {0, 4}) {
    auto& window = std::get<Attention::Config>(s.layers[1]);
    window.window = 600, window.sinks = sinks;  // longer than the blocks that all rows are filled by
    const auto engine = Engine::random(s, 1, DType::f32, {.threads = 1});
    const auto filled = engine->create(), real = engine->create();
    for (const int depth : {500, 700}) {
      engine->prefill(*real, std::vector<int32_t>(depth - real->length(), 1));
      filled->fill_synthetic(depth, 7);
      EXPECT_EQ(filled->read(1, "keys").size(), real->read(1, "keys").size());
      engine->prefill(*filled, std::vector<int32_t>(70, 1));
      EXPECT_EQ(filled->length(), depth + 70);
    }
  }
}

TEST(Speed, TimesPromptsAndBatches) {
  const ModelSpec s = tiny();
  const auto engine = Engine::random(s, 1, DType::f32, {.threads = 1});
  const SpeedOptions o{.decode = 4, .repeats = 2};
  const Timing step = measure_stage(*engine, {.kind = Stage::decode, .depth = 32, .batch = 3}, o);
  EXPECT_EQ(step.stage.label(), "decode x3 @32");
  EXPECT_EQ(step.seconds.size(), 2u);
  EXPECT_EQ(step.metered_passes, 4);
  EXPECT_EQ(step.cache_bytes, 3 * 2 * 2 * 16 * 32 * 2);
  EXPECT_GE(step.held_bytes, step.cache_bytes);
  const int64_t mean = 32 + 2 + 2;  // two steps to warm up, half of the timed ones
  const Count counted = count_model(s, {.sequences = 3, .context = mean}, engine_types(DType::f32)).total();
  EXPECT_DOUBLE_EQ(step.work.bytes, counted.weight_bytes + static_cast<double>(3 * engine->sequence_bytes(mean)));
  EXPECT_DOUBLE_EQ(step.work.flops, counted.flops);
  EXPECT_FALSE(engine->meter().on);

  const Stage prompt{Stage::prefill, 8, 16};
  const Timing t = measure_stage(*engine, prompt, o);
  EXPECT_EQ(t.stage.label(), "prefill 16 @8");
  EXPECT_DOUBLE_EQ(t.work.flops, count_prompt(s, 8, 16, 512, engine_types(DType::f32)).total().flops);
  for (const double seconds : t.seconds) EXPECT_GT(seconds, 0);
  for (const Timing* x : {&step, &t}) {
    for (const auto& [kind, totals] : x->kinds) EXPECT_LE(totals.seconds, x->metered_seconds) << kind;
  }
}

TEST(Speed, RefusesWhatDoesNotFit) {
  const auto engine = Engine::random(tiny(), 1, DType::f32, {.threads = 1});
  const SpeedOptions o{.decode = 4, .repeats = 1};
  EXPECT_EQ(positions_of({Stage::decode, 122}, o), 128);
  EXPECT_NO_THROW(measure_stage(*engine, {Stage::decode, 122}, o));
  EXPECT_THROW(measure_stage(*engine, {Stage::decode, 123}, o), Error);
  EXPECT_THROW(measure_stage(*engine, {Stage::prefill, 100, 29}, o), Error);
  EXPECT_THROW(measure_stage(*engine, {Stage::prefill, 0, 0}, o), Error);
  EXPECT_THROW(measure_stage(*engine, {Stage::decode, -1}, o), Error);
  EXPECT_THROW(measure_stage(*engine, {Stage::decode, 0}, {.repeats = 0}), Error);
}

TEST(Speed, MeasuresEachContextOnceByTurns) {
  const auto a = Engine::random(tiny(), 1, DType::f32, {.threads = 1}),
             b = Engine::random(tiny(), 2, DType::f32, {.threads = 1});
  const auto all = measure_by_turns({a.get(), b.get()}, {32, 0, 32}, {.prefill = 16, .decode = 4, .repeats = 3});
  ASSERT_EQ(all.size(), 2u);
  for (const auto& points : all) {
    ASSERT_EQ(points.size(), 2u);
    EXPECT_EQ(points[1].context, 32);
    EXPECT_EQ(points[1].cache_bytes, 2 * 2 * 16 * 32 * 2);
    for (const auto& p : points) {
      EXPECT_GT(p.prefill_tps, 0);
      EXPECT_GT(p.decode_tps, 0);
      EXPECT_GT(p.speedup, 0);
    }
  }
  EXPECT_EQ(all[0][0].speedup, 1);  // over itself
}

}  // namespace
}  // namespace jet
