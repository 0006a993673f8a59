// jet plan MODEL: what PostNAS and distillation of a base would cost on GPUs: FLOPs, memory of each, hours. Nothing is
// run: the numbers are the cost model's (jet/model/train_plan.h).
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

#include "jet/base/progress.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/model/shapes.h"
#include "jet/model/train_plan.h"

namespace jet {
namespace {

struct PlanOptions {
  std::string model, student, branch = "gla", gpu = "h100";
  double supernet_tokens = 10e9, stage1_tokens = 50e9, stage2_tokens = 350e9, mfu = 0.4, step_tokens = 1048576;
  std::vector<int64_t> gpus = {8, 32, 256};
  TrainOptions train;
  bool frozen_vocabulary = false, json = false;
};

struct Stage {
  StagePlan plan;
  double tokens;
};

std::vector<Stage> stages_of(const PlanOptions& o) {
  const ModelSpec base = shape_spec(o.model), student = shape_spec(o.student);
  return {{plan_supernet(base, o.branch, o.train), o.supernet_tokens},
          {plan_distillation("stage 1", base, student, is_mixer_parameter, o.train), o.stage1_tokens},
          {plan_distillation("stage 2", base, student, o.frozen_vocabulary ? layers_trained : all_trained, o.train),
           o.stage2_tokens}};
}

Json to_json(const Stage& s, const PlanOptions& o, const Gpu& gpu) {
  const StagePlan& p = s.plan;
  Json j = {{"stage", p.name},
            {"tokens", s.tokens},
            {"trained", p.trained},
            {"frozen", p.frozen},
            {"teacher_flops", p.teacher_flops},
            {"forward_flops", p.forward_flops},
            {"backward_flops", p.backward_flops},
            {"recompute_flops", p.recompute_flops},
            {"gpus", Json::array()}};
  for (const int64_t n : o.gpus) {
    const bool checkpointed = p.needs_checkpoints(n, gpu);
    const double compute = p.compute_seconds(o.step_tokens, n, gpu, o.mfu, checkpointed);
    const double reduce = p.reduce_seconds(n, gpu);
    j["gpus"].push_back({{"gpus", n},
                         {"checkpointed", checkpointed},
                         {"weight_bytes", p.weight_bytes},
                         {"gradient_bytes", p.gradient_bytes},
                         {"optimiser_bytes", p.optimiser_bytes / static_cast<double>(n)},
                         {"target_bytes", p.target_bytes},
                         {"logit_bytes", p.logit_bytes},
                         {"activation_bytes", checkpointed ? p.checkpointed_bytes : p.activation_bytes},
                         {"bytes", p.memory(n, checkpointed)},
                         {"bytes_without_checkpoints", p.memory(n, false)},
                         {"flops", p.flops(checkpointed) * s.tokens},
                         {"unfused_mfu", p.unfused_mfu(gpu, checkpointed)},
                         {"compute_seconds", compute},
                         {"reduce_seconds", reduce},
                         {"hours", s.tokens / o.step_tokens * std::max(compute, reduce) / 3600}});
  }
  return j;
}

Json plan_json(const PlanOptions& o, const Gpu& gpu) {
  Json j = {{"format", "jet plan 1"},
            {"base", o.model},
            {"student", o.student},
            {"branch", o.branch},
            {"gpu", gpu},
            {"mfu", o.mfu},
            {"rows", o.train.rows},
            {"length", o.train.length},
            {"logit_chunk", o.train.logit_chunk},
            {"full_share", o.train.full_share},
            {"step_tokens", o.step_tokens},
            {"stages", Json::array()}};
  for (const Stage& s : stages_of(o)) j["stages"].push_back(to_json(s, o, gpu));
  return j;
}

void print_work(const Json& stages) {
  fmt::print("\n{:<10} {:>8} {:>9} {:>9}   {:>8} {:>8} {:>9} {:>10}\n", "", "tokens", "trained", "frozen", "teacher",
             "forward", "backward", "recompute");
  for (const Json& s : stages) {
    const auto giga = [&](const char* key) { return s.at(key).get<double>() * 1e-9; };
    fmt::print("{:<10} {:>8} {:>9} {:>9}   {:>8.2f} {:>8.2f} {:>9.2f} {:>10.2f}   GFLOP/token\n",
               s.at("stage").get<std::string>(), format_count(s.at("tokens").get<double>()),
               format_count(s.at("trained").get<double>()), format_count(s.at("frozen").get<double>()),
               giga("teacher_flops"), giga("forward_flops"), giga("backward_flops"), giga("recompute_flops"));
  }
}

void print_memory(const Json& stages) {
  fmt::print("\nGB a GPU   {:>5} {:>8} {:>6} {:>9} {:>8} {:>7} {:>12} {:>7}  {}\n", "GPUs", "weights", "grads",
             "optimiser", "targets", "logits", "activations", "total", "checkpointed");
  for (const Json& s : stages) {
    for (const Json& g : s.at("gpus")) {
      const auto gb = [&](const char* key) { return g.at(key).get<double>() * 1e-9; };
      fmt::print("{:<10} {:>5} {:>8.1f} {:>6.1f} {:>9.2f} {:>8.1f} {:>7.1f} {:>12.1f} {:>7.1f}  {}\n",
                 s.at("stage").get<std::string>(), g.at("gpus").get<int64_t>(), gb("weight_bytes"),
                 gb("gradient_bytes"), gb("optimiser_bytes"), gb("target_bytes"), gb("logit_bytes"),
                 gb("activation_bytes"), gb("bytes"), g.at("checkpointed").get<bool>() ? "yes" : "no");
    }
  }
}

void print_time(const Json& stages) {
  fmt::print("\n{:<10} {:>5} {:>9} {:>13} {:>12} {:>9} {:>7}\n", "", "GPUs", "EFLOP", "s/step: FLOPs", "all-reduce",
             "hours", "days");
  for (const Json& s : stages) {
    for (const Json& g : s.at("gpus")) {
      const auto number = [&](const char* key) { return g.at(key).get<double>(); };
      fmt::print("{:<10} {:>5} {:>9.0f} {:>13.3f} {:>12.3f} {:>9.1f} {:>7.1f}\n", s.at("stage").get<std::string>(),
                 g.at("gpus").get<int64_t>(), number("flops") * 1e-18, number("compute_seconds"),
                 number("reduce_seconds"), number("hours"), number("hours") / 24);
    }
  }
}

void print(const Json& j, const Gpu& gpu) {
  fmt::print("{} -> {}, supernet of {}; {} rows of {} tokens a GPU and pass, logits of {} at once, {} tokens a step\n",
             j.at("base").get<std::string>(), j.at("student").get<std::string>(), j.at("branch").get<std::string>(),
             j.at("rows").get<int64_t>(), j.at("length").get<int64_t>(), j.at("logit_chunk").get<int64_t>(),
             format_count(j.at("step_tokens").get<double>()));
  const Json& stages = j.at("stages");
  fmt::print(
      "{}: {:.0f} TFLOP/s bf16, {:.0f} GB, {:.2f} TB/s; hours where all FLOPs run at {:.0f} % of the peak "
      "(unfused: {:.0f} %)\n",
      gpu.name, gpu.bf16_flops * 1e-12, gpu.memory_bytes * 1e-9, gpu.bandwidth * 1e-12, 100 * j.at("mfu").get<double>(),
      100 * stages.back().at("gpus").front().at("unfused_mfu").get<double>());
  print_work(stages);
  print_memory(stages);
  print_time(stages);
  const size_t columns = stages.front().at("gpus").size();
  for (size_t i = 0; i < columns; ++i) {
    double hours = 0;
    for (const Json& s : stages) hours += s.at("gpus")[i].at("hours").get<double>();
    fmt::print("{}{} GPUs: {:.0f} hours in all, {:.1f} days", i == 0 ? "\n" : "; ",
               stages.front().at("gpus")[i].at("gpus").get<int64_t>(), hours, hours / 24);
  }
  fmt::print("\n");
}

void run(const PlanOptions& o) {
  const Gpu gpu = gpu_named(o.gpu);
  const Json j = plan_json(o, gpu);
  if (o.json) {
    fmt::print("{}\n", json_text(j, 2));
  } else {
    print(j, gpu);
  }
}

}  // namespace

void add_plan_command(CLI::App& c, int&) {
  auto o = std::make_shared<PlanOptions>();
  c.add_option("model", o->model, fmt::format("the base: {} or a folder", fmt::join(shape_names(), ", ")))->required();
  c.add_option("--student", o->student, "what it becomes: likewise")->required();
  c.add_option("--branch", o->branch, "the supernet's linear block")->capture_default_str();
  add_number(c, "--tokens-supernet", o->supernet_tokens, "of the supernet", 0, 1e18);
  add_number(c, "--tokens-stage1", o->stage1_tokens, "with mixers trained", 0, 1e18);
  add_number(c, "--tokens-stage2", o->stage2_tokens, "with everything trained", 0, 1e18);
  c.add_option("--gpu", o->gpu, "a100, h100 or h200")->capture_default_str();
  add_number(c, "--gpus", o->gpus, "how many", 1, 1 << 20);
  add_number(c, "--mfu", o->mfu, "share of the peak at which all FLOPs run", 0.001, 1);
  add_number(c, "--step-tokens", o->step_tokens, "of all GPUs together: one all-reduce", 1, 1e12);
  add_number(c, "--rows", o->train.rows, "of tokens, a GPU and pass", 1, 1 << 20);
  add_number(c, "--length", o->train.length, "tokens of a row", 1, 1 << 30);
  add_number(c, "--logit-chunk", o->train.logit_chunk, "tokens whose logits exist at once", 1, 1 << 30);
  add_number(c, "--full-share", o->train.full_share, "of a supernet path's layers", 0, 1);
  c.add_flag("--frozen-vocabulary", o->frozen_vocabulary, "stage 2 leaves embedding and head as they are");
  c.add_flag("--json", o->json, "print one JSON object");
  c.callback([o] { run(*o); });
}

}  // namespace jet
