#include <gtest/gtest.h>

#include "jet/base/error.h"
#include "jet/eval/bench_report.h"
#include "jet/eval/tiny_model.h"

namespace jet {
namespace {

BenchPlan small_plan() {
  BenchPlan plan;
  plan.depths = {0, 64, 1000}, plan.batches = {1, 2}, plan.prefill = {16};
  plan.speed.decode = 4, plan.speed.repeats = 2;
  plan.type = DType::f32, plan.probe_bytes = 1 << 20, plan.probe_passes = 1;
  return plan;
}

TEST(Bench, EveryPromptAndBatchIsAStage) {
  BenchPlan plan;
  plan.depths = {0, 4096}, plan.batches = {1, 8}, plan.prefill = {512}, plan.prefill_depths = {0, 100};
  std::string labels;
  for (const Stage& s : stages_of(plan)) labels += s.label() + "; ";
  EXPECT_EQ(labels, "prefill 512 @0; prefill 512 @100; decode @0; decode x8 @0; decode @4096; decode x8 @4096; ");
  plan.batches = {0};
  EXPECT_EQ(stages_of(plan).size(), 2u);
  plan.prefill = {0};
  EXPECT_THROW(stages_of(plan), Error);
  plan.prefill = {-1};
  EXPECT_THROW(stages_of(plan), Error);
  plan = {};
  plan.depths = {-4};
  EXPECT_THROW(stages_of(plan), Error);
}

TEST(Bench, ReportHoldsEveryStage) {
  const auto engine = Engine::random(tiny(), 1, DType::f32, {.threads = 2});
  const BenchPlan plan = small_plan();
  std::vector<std::string> told;
  const BenchRun run = run_bench(*engine, plan, [&](const Stage& s) { told.push_back(s.label()); });
  EXPECT_EQ(told.size(), 7u);
  ASSERT_EQ(run.timings.size(), 5u);
  EXPECT_EQ(run.probes.size(), 6u);
  EXPECT_EQ(run.left_out[0], "decode @1000: needs 1006 positions, the model has 128");

  const Json r = bench_report("tiny", *engine, plan, run);
  EXPECT_EQ(r["model"], "tiny");
  EXPECT_EQ(r["type"], "f32");
  EXPECT_EQ(r["threads"], 2);
  ASSERT_EQ(r["stages"].size(), 5u);
  const Json& s = r["stages"][4];
  EXPECT_EQ(s["stage"], "decode x2 @64");
  const double seconds = median(run.timings[4].seconds);
  EXPECT_DOUBLE_EQ(s["tps"], 2 / seconds);
  EXPECT_LE(s["tps_low"], s["tps"]);
  EXPECT_GE(s["tps_high"], s["tps"]);
  ASSERT_EQ(run.timings[4].moments.size(), 4u);
  EXPECT_EQ(s["read_shares"].size(), 2u);
  EXPECT_GE(r["peak"]["read"], r["peak"]["read_low"]);

  const std::string text = bench_text(parse_json(r.dump(), "report"));
  for (const char* word : {"prefill 16 @0", "decode x2 @64", "left out: decode x2 @1000", "all 6 probes"}) {
    EXPECT_NE(text.find(word), std::string::npos) << word << " in " << text;
  }
}

/// A run of one step a repeat: 10 ms, of which 8 in products; bandwidth 100 GB/s.
BenchRun made_up(double seconds, double read) {
  Timing t{.stage = {Stage::decode, 4096}, .seconds = {seconds, seconds, seconds}};
  t.work = {5e8, 1e9};
  t.metered_seconds = 4 * seconds, t.metered_passes = 4;
  t.moments.assign(5, {read, 1e12});
  t.kinds["linear"] = {.calls = 40, .seconds = 3.2 * seconds, .bytes = 1.6e9, .flops = 2e9};
  const Rate rate{read, read}, peak{1e12, 1e12};
  return {{{"decode @4096", rate, peak, peak}, {"end", {read / 2, read / 2}, peak, peak}}, {t}, {}};
}

TEST(Bench, ARepeatIsComparedWithTheMachineBesideIt) {
  const auto engine = Engine::random(tiny(), 1, DType::f32, {.threads = 1});
  BenchRun run = made_up(0.01, 1e11);  // 5e8 bytes in 10 ms: 5e10 bytes/s
  // The neighbours take half the bandwidth from the second repeat on, and all figures halve with it.
  Timing& t = run.timings[0];
  for (size_t i = 2; i < t.moments.size(); ++i) t.moments[i].read = 5e10;
  t.seconds = {0.01, 0.015, 0.02};
  const Json s = bench_report("tiny", *engine, small_plan(), run)["stages"][0];
  EXPECT_NEAR(s["read_shares"][0], 0.5, 1e-9);
  EXPECT_NEAR(s["read_shares"][1], 5e8 / 0.015 / 7.5e10, 1e-9);
  EXPECT_NEAR(s["read_shares"][2], 0.5, 1e-9);
  EXPECT_NEAR(s["read_share"], 0.5, 1e-9);
}

TEST(Bench, KindsAreSharesOfTheMeteredRepeat) {
  const auto engine = Engine::random(tiny(), 1, DType::f32, {.threads = 1});
  const Json r = bench_report("tiny", *engine, small_plan(), made_up(0.01, 1e11));
  EXPECT_DOUBLE_EQ(r["peak"]["read"], 1e11);
  EXPECT_DOUBLE_EQ(r["peak"]["read_low"], 5e10);
  EXPECT_NEAR(r["stages"][0]["read_share"], 0.5, 1e-9);
  const Json& kinds = r["stages"][0]["kinds"];
  ASSERT_EQ(kinds.size(), 2u);
  EXPECT_EQ(kinds[0]["kind"], "linear");
  EXPECT_DOUBLE_EQ(kinds[0]["calls"], 10);
  EXPECT_NEAR(kinds[0]["share"], 0.8, 1e-9);
  EXPECT_NEAR(kinds[0]["seconds"], 0.008, 1e-9);
  EXPECT_NEAR(kinds[0]["read_share"], 0.5, 1e-9);
  EXPECT_EQ(kinds[1]["kind"], "rest");
  EXPECT_NEAR(kinds[1]["share"], 0.2, 1e-9);
}

TEST(Bench, ComparisonDividesByTheProbes) {
  const auto engine = Engine::random(tiny(), 1, DType::f32, {.threads = 1});
  const BenchPlan plan = small_plan();
  const Json old = bench_report("tiny", *engine, plan, made_up(0.010, 1e11));
  const Json faster = bench_report("tiny", *engine, plan, made_up(0.005, 1.6e11));
  const std::string text = compare_benches(old, faster);
  // Twice as fast, on a machine that was 1.6 times as fast.
  for (const char* line : {"decode @4096                100.0      200.0 tok/s    2.000       1.250",
                           "  linear                    8.000      4.000 ms       2.000       1.250"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << " in\n" << text;
  }
  Json other = faster;
  other["stages"][0]["stage"] = "decode @0";
  EXPECT_NE(compare_benches(old, other).find("decode @4096           only in old"), std::string::npos);
  EXPECT_NE(compare_benches(old, other).find("decode @0              only in new"), std::string::npos);
  EXPECT_THROW(compare_benches(old, Json{{"format", "other"}}), Error);
  EXPECT_THROW(compare_benches(old, Json{{"format", "jet bench 1"}}), Error);
}

}  // namespace
}  // namespace jet
