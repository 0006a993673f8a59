#include "jet/eval/cost.h"

#include <gtest/gtest.h>

#include "jet/base/error.h"
#include "jet/eval/bench_report.h"
#include "jet/eval/tiny_model.h"

namespace jet {
namespace {

TEST(Cost, FitsOverheadAndRate) {
  const auto sample = [](double ops, double work) { return RateSample{ops, work, ops * 2e-6 + work / 1e9}; };
  const KindRate r = fit_rate(sample(100, 1e5), sample(10, 1e6));
  EXPECT_NEAR(r.overhead, 2e-6, 1e-12);
  EXPECT_NEAR(r.rate, 1e9, 1);
  // Noise can ask for less than nothing: the other unknown then explains all.
  const KindRate no_overhead = fit_rate({100, 1e5, 1e-6}, {10, 1e6, 1e-3});
  EXPECT_DOUBLE_EQ(no_overhead.overhead, 0);
  EXPECT_NEAR(no_overhead.rate, 1.1e6 / 1.001e-3, 1);
  const KindRate no_slope = fit_rate({100, 1e5, 1e-3}, {10, 1e6, 1e-5});
  EXPECT_GT(no_slope.rate, 0);
  EXPECT_GT(no_slope.overhead, 0);
  EXPECT_THROW(fit_rate({}, {10, 1e6, 1e-5}), Error);
}

Machine made_up(Stage::Kind stage, double rate, double overhead) {
  Machine m{.stage = stage};
  for (const char* kind : {"linear bf16", "attention", "elementwise", "norm", "rope"}) {
    m.kinds[kind] = {overhead, rate};
  }
  return m;
}

TEST(Cost, StepsArePricedByBytesAndOps) {
  const ModelSpec s = tiny();
  const CountTypes types = engine_types(DType::bf16);
  const auto price = [&](int64_t context, int batch, const Machine& m) {
    return predict_decode(s, m, context, batch, types);
  };
  const Machine rate = made_up(Stage::decode, 1e9, 0), overhead = made_up(Stage::decode, 1e30, 1e-6);
  // Keys and values of 100 more tokens: two layers of 2 x 2 x 16 numbers of two bytes.
  const double more = 1 / price(110, 1, rate) - 1 / price(10, 1, rate);
  EXPECT_NEAR(more, 100 * 2 * 2 * 16 * 2 / 1e9, 1e-12);
  EXPECT_GT(price(10, 4, rate), 2 * price(10, 1, rate)) << "a batch reads weights once";
  EXPECT_NEAR(price(10, 4, overhead), 4 * price(10, 1, overhead), 1e-6 * price(10, 4, overhead));
  int64_t ops = 0;
  for (const auto& [kind, c] : count_model(s, {}, types).kinds()) ops += kind == "embed" ? 0 : c.ops;
  EXPECT_NEAR(1 / price(0, 1, overhead), 1e-6 * static_cast<double>(ops), 1e-12);
  EXPECT_THROW(predict_decode(s, rate, 0, 1, engine_types(DType::q8)), Error) << "of a type that was not measured";
}

TEST(Cost, PromptsArePricedByFlops) {
  const ModelSpec s = tiny();
  Machine m = made_up(Stage::prefill, 1e30, 0);
  m.kinds["linear bf16"].rate = 1e9;
  const CountTypes types = engine_types(DType::bf16);
  const double flops = count_prompt(s, 0, 64, 512, types).kinds().at("linear bf16").flops;
  EXPECT_NEAR(predict_prefill(s, m, 0, 64, 512, types), 64 / (flops / 1e9), 1e-6 * 64 / (flops / 1e9));
}

TEST(Cost, ThisMachineKnowsEveryKind) {
  MachineProbe probe(DType::q8, 1 << 16, {.threads = 1});
  std::vector<MixerSpec> all = {Gla::Config{.heads = 2, .kv_heads = 2, .dk = 32, .dv = 32, .conv = 4},
                                Rwkv7::Config{.heads = 2, .dk = 32, .dv = 32},
                                Attention::Config{.heads = 2, .kv_heads = 2, .head_dim = 32, .window = 9}};
  ModelSpec s = tiny();
  s.layers = all, s.hidden_size = 64, s.intermediate_size = 128;
  const CountTypes types = engine_types(DType::q8);
  EXPECT_GT(predict_decode(s, probe.measure({Stage::decode, 10}), 10, 1, types), 0);
  EXPECT_GT(predict_prefill(s, probe.measure({Stage::prefill, 0, 16}), 0, 16, 512, types), 0);
}

TEST(Cost, BenchPrintsPredictionBesideMeasurement) {
  const auto engine = Engine::random(tiny(), 1, DType::f32, {.threads = 1});
  BenchPlan plan;
  plan.depths = {8}, plan.prefill = {16}, plan.speed = {.decode = 4, .repeats = 1};
  plan.type = DType::f32, plan.probe_bytes = 1 << 20, plan.probe_passes = 1, plan.predict = true;
  const BenchRun run = run_bench(*engine, plan);
  ASSERT_EQ(run.predicted.size(), 2u);
  const Json stage = bench_report("tiny", *engine, plan, run)["stages"][1];
  EXPECT_DOUBLE_EQ(stage["predicted_tps"], 1 / run.predicted[1]);
  EXPECT_DOUBLE_EQ(stage["predicted_error"], run.predicted[1] / median(run.timings[1].seconds) - 1);
  EXPECT_NE(bench_text(bench_report("tiny", *engine, plan, run)).find("time off by"), std::string::npos);
}

}  // namespace
}  // namespace jet
