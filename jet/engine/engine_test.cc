#include "jet/engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>

#include "jet/engine/cpu/arena.h"
#include "jet/engine/test_models.h"

namespace jet {
namespace {

TEST(Arena, MemoryComesBackAndIsPoisoned) {
  Arena arena(true);
  {
    const Buffer a = arena.take(100), b = arena.take(50);
    const Buffer c = a;
    EXPECT_TRUE(std::isnan(a.data()[99]));
    EXPECT_NE(a.data(), b.data());
  }
  const int64_t before = arena.allocations();
  for (int i = 0; i < 5; ++i) {
    const Buffer a = arena.take(90), b = arena.take(40);
    a.data()[0] = 1;
  }
  EXPECT_EQ(arena.allocations(), before);
  EXPECT_TRUE(std::isnan(arena.take(90).data()[0]));
}

TEST(Engine, RandomWeightsFollowTheSeed) {
  const ModelSpec spec = test_models().front().spec;
  const auto run = [&](uint64_t seed, DType type, int threads) {
    const auto e = Engine::random(spec, seed, type, {.threads = threads, .poison = true});
    EXPECT_EQ(e->options().threads, threads);
    auto s = e->create();
    return prefilled(*e, *s, test_ids(9, 1));
  };
  EXPECT_EQ(run(1, DType::bf16, 1), run(1, DType::bf16, 2));
  EXPECT_NE(run(1, DType::bf16, 1), run(2, DType::bf16, 1));
  for (const float x : run(3, DType::f32, 2)) EXPECT_TRUE(std::isfinite(x));
  EXPECT_GT(Engine::random(spec, 1, DType::f32)->weight_bytes(), Engine::random(spec, 1, DType::bf16)->weight_bytes());
  EXPECT_THROW(Engine::random(spec, 1, DType::u8), Error);
  EXPECT_THROW(Engine::random(spec, 1, DType::f32, {.kv = DType::f16}), Error);
  EXPECT_THROW(Engine::random(spec, 1, DType::f32, {.prefill_chunk = 0}), Error);
}

/// Parts of attention are cut by how many threads there are.
TEST(Engine, GivesTheSameOnAnyNumberOfThreads) {
  Attention::Config full{.heads = 6, .kv_heads = 2, .head_dim = 32}, window = full;
  window.window = 150, window.sinks = 3;
  ModelSpec spec = test_spec({full, window});
  spec.max_position_embeddings = 1024;
  for (const DType kv : {DType::f32, DType::bf16, DType::i8}) {
    const auto run = [&](int threads) {
      const auto e = Engine::random(spec, 1, DType::bf16, {.threads = threads, .kv = kv, .poison = true});
      auto s = e->create();
      std::vector<float> all;
      for (const int tokens : {500, 1, 52, 300}) {
        const auto last = prefilled(*e, *s, test_ids(tokens, tokens));
        all.insert(all.end(), last.begin(), last.end());
      }
      return all;
    };
    const auto alone = run(1);
    for (const int threads : {2, 5}) { EXPECT_EQ(run(threads), alone) << threads << " threads, " << name_of(kv); }
  }
}

/// And take the memory of the rows that there are.
TEST(Engine, SinksBeyondTheTextMakeAWindowFull) {
  Attention::Config full{.heads = 6, .kv_heads = 2, .head_dim = 32}, window = full;
  window.window = 5, window.sinks = 1'000'000'000;
  const auto run = [&](const Attention::Config& layer, const std::vector<int>& parts) {
    const auto e =
        Engine::random(test_spec({layer, layer}), 1, DType::f32, {.threads = 2, .kv = DType::f32, .poison = true});
    auto s = e->create();
    const auto ids = test_ids(90, 1);
    std::vector<float> last;
    int at = 0;
    for (const int n : parts) last = prefilled(*e, *s, std::span(ids).subspan(at, n)), at += n;
    return last;
  };
  const auto whole = run(full, {90});
  for (const auto& parts : std::vector<std::vector<int>>{{90}, {3, 50, 1, 1, 35}, {1, 89}}) {
    const auto other = run(window, parts);
    for (size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(other[i], whole[i], 2e-5) << i;
  }
}

TEST(Engine, ObserverSeesEveryLayer) {
  const auto e = Engine::random(test_models().back().spec, 1, DType::f32);
  std::vector<std::string> seen;
  e->observe([&](const char* name, int layer, std::span<const float> values) {
    seen.push_back(fmt::format("{} {} {}", name, layer, values.size()));
  });
  auto s = e->create();
  e->prefill(*s, test_ids(3, 1));
  EXPECT_EQ(seen, (std::vector<std::string>{"hidden.embed -1 120", "hidden.layer 0 120", "hidden.layer 1 120",
                                            "hidden.norm -1 120"}));
}

TEST(Sequence, RefusesForeignStates) {
  TemporaryFolder folder;
  const auto models = test_models();
  const auto a = Engine::random(models[0].spec, 1, DType::f32), b = Engine::random(models[1].spec, 1, DType::f32);
  const auto other_weights = Engine::random(models[0].spec, 2, DType::f32);
  const auto other_kv = Engine::random(models[0].spec, 1, DType::f32, {.kv = DType::f32});
  const std::string path = folder.path() + "/s.safetensors";
  auto s = a->create();
  a->prefill(*s, test_ids(5, 1), Want::nothing);
  s->save(path);
  EXPECT_NE(message_of([&] { b->create()->load(path); }).find("another model"), std::string::npos);
  EXPECT_NE(message_of([&] { other_weights->create()->load(path); }).find("another model"), std::string::npos);
  EXPECT_NE(message_of([&] { other_kv->create()->load(path); }).find("keeps f32"), std::string::npos);
  auto t = a->create();
  EXPECT_THROW(t->load(folder.path() + "/missing"), Error);
  write_safetensors(path, {});
  EXPECT_NE(message_of([&] { t->load(path); }).find("no saved sequence"), std::string::npos);
  EXPECT_EQ(t->length(), 0);
  EXPECT_THROW(t->read(0, "nothing"), Error);
}

TEST(Sequence, ChecksCheckpoints) {
  const ModelSpec full = test_models().front().spec,
                  window = test_spec({Attention::Config{.heads = 3, .kv_heads = 1, .head_dim = 6, .window = 5}});
  const auto a = Engine::random(full, 1, DType::f32), b = Engine::random(full, 1, DType::f32);
  auto s = a->create();
  a->prefill(*s, test_ids(9, 1), Want::nothing);
  const SequenceCheckpoint c = s->checkpoint();
  EXPECT_EQ(c.length(), 9);
  EXPECT_EQ(c.bytes(), 0);
  EXPECT_NE(message_of([&] { s->rollback({}); }).find("empty"), std::string::npos);
  EXPECT_NE(message_of([&] { b->create()->rollback(c); }).find("another engine"), std::string::npos);
  EXPECT_NE(message_of([&] { a->create()->rollback(c); }).find("stands at token 9"), std::string::npos);
  EXPECT_EQ(s->length(), 9);
  s->reset();
  EXPECT_THROW(s->rollback(c), Error);

  const auto windowed = Engine::random(window, 1, DType::f32);
  auto w = windowed->create();
  windowed->prefill(*w, test_ids(9, 1), Want::nothing);
  EXPECT_EQ(w->checkpoint().bytes(), cache_bytes(window, 5) / 5 * 16);  // of a block of 16 rows
}

}  // namespace
}  // namespace jet
