// The cost model against the engine: what CountOps counts on shapes is what the engine's meter saw in a real pass.
#include <gtest/gtest.h>

#include "jet/engine/engine.h"
#include "jet/engine/test_models.h"
#include "jet/model/model_cost.h"

namespace jet {
namespace {

class EveryModel : public testing::TestWithParam<NamedSpec> {};

/// Every kind of op that the meter knows: as many calls, the same FLOPs and bytes.
void expect_as_metered(const std::map<std::string, OpTotals>& metered, const ModelCost& cost) {
  const auto counted = cost.kinds();
  for (const auto& [kind, m] : metered) {
    SCOPED_TRACE(kind);
    ASSERT_TRUE(counted.contains(kind));
    const Count& c = counted.at(kind);
    EXPECT_EQ(c.ops, m.calls);
    if (m.flops > 0) { EXPECT_DOUBLE_EQ(c.flops, m.flops); }
    if (kind.starts_with("linear")) { EXPECT_DOUBLE_EQ(c.weight_bytes, m.bytes); }
    if (kind == "recurrence" || kind.ends_with("attention")) { EXPECT_DOUBLE_EQ(c.state_bytes(), m.bytes); }
  }
  for (const auto& [kind, c] : counted) {
    if (kind != "embed" && kind != "copy") { EXPECT_TRUE(metered.contains(kind)) << kind << " is counted only"; }
  }
}

TEST_P(EveryModel, CountsWhatTheEngineMeters) {
  const ModelSpec& spec = GetParam().spec;
  const auto engine = Engine::random(spec, 1, DType::bf16, {.threads = 1});
  const auto sequence = engine->create();
  const CountTypes types = engine_types(DType::bf16);
  const auto run = [&](int tokens, int64_t context, Want want) {
    engine->meter().totals.clear();
    engine->meter().on = true;
    engine->prefill(*sequence, test_ids(tokens, 1), want);
    const int64_t logits = want == Want::all ? tokens : 1;
    expect_as_metered(engine->meter().totals,
                      count_model(spec, {.tokens = tokens, .context = context, .logits = logits}, types));
  };
  run(3, 0, Want::last);
  run(2, 3, Want::all);
  run(1, 5, Want::last);
  run(1, 6, Want::last);
}

TEST_P(EveryModel, ABatchReadsWeightsOnceAndEveryState) {
  const ModelSpec& spec = GetParam().spec;
  const CountTypes types = engine_types(DType::q8);
  const Count one = count_model(spec, {.context = 9}, types).total();
  const Count five = count_model(spec, {.sequences = 5, .context = 9}, types).total();
  EXPECT_NEAR(five.flops, 5 * one.flops, 1e-3 * five.flops);  // but for functions of parameters alone
  EXPECT_DOUBLE_EQ(five.state_read_bytes, 5 * one.state_read_bytes);
  EXPECT_DOUBLE_EQ(five.activation_bytes, 5 * one.activation_bytes);
  EXPECT_EQ(five.ops, one.ops);
  const double row = 40 * 4;  // another embedding row a sequence
  EXPECT_NEAR(five.weight_bytes, one.weight_bytes, 4 * row);
}

TEST_P(EveryModel, StatesArePricedAsTheBlocksDeclareThem) {
  const ModelSpec& spec = GetParam().spec;
  for (const int64_t context : {1, 4, 90}) {
    const Count c = count_model(spec, {.context = context}, engine_types(DType::bf16)).total();
    EXPECT_DOUBLE_EQ(c.state_read_bytes, static_cast<double>(cache_bytes(spec, context))) << context;
  }
}

TEST_P(EveryModel, EveryParameterIsReadOnce) {
  ModelSpec spec = GetParam().spec;
  for (const DType type : {DType::f32, DType::bf16, DType::q8, DType::q4}) {
    const auto engine = Engine::random(spec, 1, type, {.threads = 1});
    const Count c = count_model(spec, {}, engine_types(type)).total();
    EXPECT_EQ(weight_bytes(spec, engine_types(type)), engine->weight_bytes()) << name_of(type);
    EXPECT_DOUBLE_EQ(count_model(spec, {}, engine->count_types()).total().weight_bytes, c.weight_bytes);
    // Beside the head, one row of the embedding: of the tied table once more, of its own table instead of all.
    const double table = static_cast<double>(spec.vocab_size) * spec.hidden_size, row = 4.0 * spec.hidden_size;
    const double expected = static_cast<double>(engine->weight_bytes());
    if (spec.tie_word_embeddings) {
      EXPECT_NEAR(c.weight_bytes, expected, row) << name_of(type);
    } else {
      EXPECT_NEAR(c.weight_bytes, expected - (type == DType::f32 ? 4 : 2) * table, row) << name_of(type);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Count, EveryModel, testing::ValuesIn(test_models()),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace jet
