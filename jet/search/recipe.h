// A run's settings, read from TOML. Every key has a default; an unknown key is an error that lists the known ones.
#pragma once

#include <string>
#include <vector>

#include "jet/data/corpus.h"
#include "jet/train/trainer.h"

namespace jet {

/// What the losses of a training stage weigh. Feature and KL losses: jet/train/distill.h.
struct DistillConfig {
  TrainConfig train{};
  double feature_weight = 1, kl_weight = 1;
  template <class V>
  static void fields(DistillConfig& c, V&& v) {
    v("train", c.train), v("feature_weight", c.feature_weight), v("kl_weight", c.kl_weight);
  }
};

/// Two ways to train a student's new mixers, one after the other: alignment feeds every layer the teacher's hidden
/// states (layer by layer, no backward pass through frozen parts); distillation runs the student end to end.
struct BudgetConfig {
  TrainConfig align{};
  DistillConfig distill{};
  template <class V>
  static void fields(BudgetConfig& c, V&& v) {
    v("align", c.align), v("distill", c.distill);
  }
};

struct EvalConfig {
  std::string tasks = "data/eval";
  int search_items = 48, items = 200;  // per task: during the search (the file's tail), and for reported accuracy
  int held_out_rows = 2, held_out_length = 512;
  template <class V>
  static void fields(EvalConfig& c, V&& v) {
    v("tasks", c.tasks), v("search_items", c.search_items), v("items", c.items);
    v("held_out_rows", c.held_out_rows), v("held_out_length", c.held_out_length);
  }
};

struct SupernetConfig {
  std::string branch = "gla";
  BudgetConfig budget{};
  template <class V>
  static void fields(SupernetConfig& c, V&& v) {
    v("branch", c.branch), v("budget", c.budget);
  }
};

struct PlacementConfig {
  int full = 2, swa = 1, window = 64;  // layers that keep full attention; layers that get a sliding window
  int beam = 3, random = 4;            // beam width; random placements to compare with
  bool exhaustive = true;
  std::string full_objective = "recall", swa_objective = "mcq";
  template <class V>
  static void fields(PlacementConfig& c, V&& v) {
    v("full", c.full), v("swa", c.swa), v("window", c.window), v("beam", c.beam), v("random", c.random);
    v("exhaustive", c.exhaustive), v("full_objective", c.full_objective), v("swa_objective", c.swa_objective);
  }
};

struct BlocksConfig {
  std::vector<std::string> kinds = {"retnet", "mamba2", "gla", "delta_net", "gated_delta_net", "rwkv7", "jet"};
  std::vector<double> lrs = {1e-3};  // each kind is trained at each; the best by held-out loss counts
  BudgetConfig budget{};
  template <class V>
  static void fields(BlocksConfig& c, V&& v) {
    v("kinds", c.kinds), v("lrs", c.lrs), v("budget", c.budget);
  }
};

struct DimensionsConfig {
  std::vector<std::vector<int>> candidates;  // [heads, dk, dv], all with the same product
  double speed_tolerance = 0.25;             // a candidate slower than the fastest by more than this share is out
  int context = 1024;                        // where decode tokens/s are measured
  template <class V>
  static void fields(DimensionsConfig& c, V&& v) {
    v("candidates", c.candidates), v("speed_tolerance", c.speed_tolerance), v("context", c.context);
  }
};

struct StagesConfig {
  DistillConfig stage1{}, stage2{};
  template <class V>
  static void fields(StagesConfig& c, V&& v) {
    v("stage1", c.stage1), v("stage2", c.stage2);
  }
};

struct SpeedConfig {
  std::vector<int64_t> contexts = {0, 1024, 2048, 3840};
  int decode = 48, repeats = 3, prefill = 128;
  template <class V>
  static void fields(SpeedConfig& c, V&& v) {
    v("contexts", c.contexts), v("decode", c.decode), v("repeats", c.repeats), v("prefill", c.prefill);
  }
};

/// The model that `jet pretrain` trains from nothing.
struct ModelConfig {
  int layers = 8, hidden = 256, heads = 4, kv_heads = 2, mlp = 704, context = 4096;
  double rope_theta = 100000;
  template <class V>
  static void fields(ModelConfig& c, V&& v) {
    v("layers", c.layers), v("hidden", c.hidden), v("heads", c.heads), v("kv_heads", c.kv_heads), v("mlp", c.mlp);
    v("context", c.context), v("rope_theta", c.rope_theta);
  }
};

struct Recipe {
  std::string title = "PostNAS";
  uint64_t seed = 1;
  int threads = 0;                 // 0: all
  std::string precision = "auto";  // of matrix products in training: fp32, bf16, auto (bf16 where the CPU has it)
  int64_t held_out_tokens = 8192;  // per source
  std::vector<SourceConfig> data;
  EvalConfig eval{};
  SupernetConfig supernet{};
  PlacementConfig placement{};
  BlocksConfig blocks{};
  DimensionsConfig dimensions{};
  StagesConfig distill{};
  SpeedConfig speed{};
  ModelConfig model{};
  TrainConfig pretrain{};
  template <class V>
  static void fields(Recipe& r, V&& v) {
    v("title", r.title), v("seed", r.seed), v("threads", r.threads), v("precision", r.precision);
    v("held_out_tokens", r.held_out_tokens), v("data", r.data), v("eval", r.eval), v("supernet", r.supernet);
    v("placement", r.placement), v("blocks", r.blocks), v("dimensions", r.dimensions), v("distill", r.distill);
    v("speed", r.speed), v("model", r.model), v("pretrain", r.pretrain);
  }
};

/// Throws with file, line and key on anything that is not understood.
Recipe read_recipe(const std::string& path);

}  // namespace jet
