#include "jet/model/train_plan.h"

#include <gtest/gtest.h>

#include "jet/base/error.h"
#include "jet/model/shapes.h"

namespace jet {
namespace {

const TrainOptions kOptions{.rows = 2, .length = 256, .logit_chunk = 128};

TEST(TrainPlan, StagesOfAKnownModel) {
  const ModelSpec base = shape_spec("qwen2.5-1.5b"), student = shape_spec("jet-2b");
  const auto parameters = [](const ModelSpec& s) { return static_cast<double>(parameter_count(s)); };
  const StagePlan one = plan_distillation("stage 1", base, student, is_mixer_parameter, kOptions);
  const StagePlan two = plan_distillation("stage 2", base, student, all_trained, kOptions);
  EXPECT_DOUBLE_EQ(two.trained, parameters(student));
  EXPECT_DOUBLE_EQ(two.frozen, parameters(base));
  // Stage 1 trains what is neither MLP, embedding nor norm.
  const double mlp = 28.0 * 3 * 1536 * 8960, table = 151936.0 * 1536, norms = 57.0 * 1536;
  EXPECT_DOUBLE_EQ(one.trained, parameters(student) - mlp - table - norms);
  EXPECT_DOUBLE_EQ(one.weight_bytes, 2 * (one.trained + parameters(base)));
  EXPECT_DOUBLE_EQ(two.optimiser_bytes, 12 * two.trained);
  EXPECT_DOUBLE_EQ(two.memory(1, true) - two.memory(4, true), 9 * two.trained);

  // Forward: two FLOP a parameter and token, and a little for attention, norms and states.
  for (const StagePlan* p : {&one, &two}) {
    EXPECT_NEAR(p->teacher_flops, 2 * parameters(base), 0.02 * p->teacher_flops);
    EXPECT_NEAR(p->forward_flops, 2 * parameters(student), 0.03 * p->forward_flops);
    EXPECT_DOUBLE_EQ(p->flops(true) - p->flops(false), p->recompute_flops);
    EXPECT_LT(p->checkpointed_bytes, 0.2 * p->activation_bytes);
  }
  EXPECT_NEAR(two.backward_flops, 2 * two.forward_flops, 0.02 * two.backward_flops);
  // Frozen MLPs and head pass gradients on at the price of a forward; they make none of their own.
  EXPECT_NEAR(two.backward_flops - one.backward_flops, 2 * (mlp + table), 0.02 * two.backward_flops);
  EXPECT_LT(one.activation_bytes, two.activation_bytes);
}

TEST(TrainPlan, LocalTrainingLeavesOutMlpsAndHeads) {
  const ModelSpec base = shape_spec("qwen2.5-1.5b"), student = shape_spec("jet-2b");
  EXPECT_EQ(changed_layers(base, student).size(), 26U);  // all but two full layers
  const StagePlan one = plan_distillation("stage 1", base, student, is_mixer_parameter, kOptions);
  const StagePlan local = plan_local(base, student, kOptions);
  EXPECT_LT(local.trained, one.trained);
  EXPECT_GT(local.trained, 0.95 * one.trained);
  // The student's MLPs forward and backward; the head of both forward, of the student backward. On top of that the full
  // layers, and what a mixer's first products pass back to its input.
  const double mlp = 28.0 * 3 * 1536 * 8960, table = 151936.0 * 1536, less = one.flops(false) - local.flops(false);
  EXPECT_GT(less, 4 * mlp + 6 * table);
  EXPECT_LT(less, 4 * mlp + 6 * table + 2.2 * one.trained);
  EXPECT_EQ(local.logit_bytes, 0);
  EXPECT_LT(local.activation_bytes, one.activation_bytes);
}

TEST(TrainPlan, SupernetTrainsBranchesOfTheMeanPath) {
  const ModelSpec base = shape_spec("qwen2.5-0.5b");
  TrainOptions o = kOptions;
  const auto flops = [&](double share) {
    o.full_share = share;
    return plan_supernet(base, "gla", o).backward_flops;
  };
  const StagePlan p = plan_supernet(base, "gla", o);
  EXPECT_DOUBLE_EQ(p.frozen, static_cast<double>(parameter_count(base)));
  EXPECT_GT(p.trained, 0);
  EXPECT_GT(flops(0), flops(0.5));
  EXPECT_DOUBLE_EQ(flops(1), 0) << "nothing on a path of attention alone is trained";
  EXPECT_THROW(flops(1.5), Error);
  EXPECT_THROW(plan_supernet(shape_spec("jet-2b"), "gla", kOptions), Error);
}

TEST(TrainPlan, ActivationsGrowWithTokensAndParametersDoNot) {
  const ModelSpec base = shape_spec("qwen2.5-0.5b");
  TrainOptions o = kOptions;
  const StagePlan a = plan_distillation("a", base, base, all_trained, o);
  o.rows *= 3;
  const StagePlan b = plan_distillation("b", base, base, all_trained, o);
  EXPECT_DOUBLE_EQ(b.activation_bytes, 3 * a.activation_bytes);
  EXPECT_DOUBLE_EQ(b.weight_bytes, a.weight_bytes);
  EXPECT_NEAR(b.flops(true), a.flops(true), 1e-6 * a.flops(true)) << "of a token";
}

TEST(TrainPlan, StepsComputeAndReduce) {
  const ModelSpec base = shape_spec("qwen2.5-0.5b");
  const StagePlan p = plan_distillation("stage 2", base, base, all_trained, kOptions);
  const Gpu gpu{"made up", 1e15, 80e9, 1e12, 100e9, 10e9};
  const double seconds = p.compute_seconds(1e6, 8, gpu, 0.5, true);
  EXPECT_NEAR(seconds, 1e6 * p.flops(true) / (8 * 1e15 * 0.5), 1e-9 * seconds);
  EXPECT_NEAR(p.compute_seconds(1e6, 32, gpu, 0.5, true), seconds / 4, 1e-9 * seconds);
  EXPECT_GT(seconds, p.compute_seconds(1e6, 8, gpu, 0.5, false));
  EXPECT_DOUBLE_EQ(p.reduce_seconds(1, gpu), 0);
  EXPECT_DOUBLE_EQ(p.reduce_seconds(8, gpu), 2 * 4 * p.trained * 7 / 8 / 100e9);
  EXPECT_DOUBLE_EQ(p.reduce_seconds(16, gpu), 2 * 4 * p.trained * 15 / 16 / 10e9);
  const double products = p.flops(false) / 1e15, memory = p.moved_bytes / 1e12;
  EXPECT_NEAR(p.unfused_mfu(gpu, false), products / (products + memory), 1e-12);
}

TEST(TrainPlan, ChecksWhatFits) {
  const ModelSpec base = shape_spec("qwen2.5-1.5b");
  const Gpu h100 = gpu_named("h100");
  EXPECT_FALSE(plan_distillation("small", base, base, is_mixer_parameter, kOptions).needs_checkpoints(8, h100));
  TrainOptions big{.rows = 16, .length = 4096};
  EXPECT_TRUE(plan_distillation("big", base, base, all_trained, big).needs_checkpoints(8, h100));
  big.rows = 1024;
  EXPECT_THROW(plan_distillation("huge", base, base, all_trained, big).needs_checkpoints(8, h100), Error);
  EXPECT_THROW(gpu_named("abacus"), Error);
  EXPECT_THROW(plan_distillation("x", base, shape_spec("qwen2.5-0.5b"), all_trained, kOptions), Error);
}

}  // namespace
}  // namespace jet
