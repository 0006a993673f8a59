// A run's settings, read from TOML. Every key has a default; an unknown key is an error that lists the known ones, a
// number out of its range one that names the range. What several keys of a table must agree on is checked by the table
// (`check`, recipe.cc).
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
  double hidden_weight = 0;  // of the last hidden states; with kl_weight 0 no logits are made
  bool local = false;   // feature loss alone, each layer fed by the teacher's hidden states; for mixers, not for all
  int teacher_top = 0;  // > 0: keep the teacher's greatest probabilities on disk and do not run it where they are there
  bool vocabulary = true;  // of a stage that trains everything: the embedding and the head, too
  template <class V>
  static void fields(DistillConfig& c, V&& v) {
    v("train", c.train), v("feature_weight", c.feature_weight, at_least(0));
    v("kl_weight", c.kl_weight, at_least(0)), v("hidden_weight", c.hidden_weight, at_least(0));
    v("local", c.local), v("teacher_top", c.teacher_top, at_least(0)), v("vocabulary", c.vocabulary);
  }
  void check(const std::string& where) const;
};

/// Two ways to train a student's new mixers, one after the other: alignment feeds every layer the teacher's hidden
/// states (layer by layer, no backward pass through frozen parts); distillation runs the student end to end.
struct BudgetConfig {
  bool look_back = false;  // before it: decays start from how far the attention's heads look back (student.h)
  int kept_batches = 0;    // > 0: alignment goes over so many batches, what the teacher makes of them kept on disk
  TrainConfig align{};
  DistillConfig distill{};
  template <class V>
  static void fields(BudgetConfig& c, V&& v) {
    v("look_back", c.look_back), v("kept_batches", c.kept_batches, at_least(0)), v("align", c.align);
    v("distill", c.distill);
  }
  void check(const std::string& where) const;
};

struct EvalConfig {
  std::string tasks = "data/eval";
  int search_items = 48, items = 200;  // per task: during the search (the file's tail), and for reported accuracy
  int held_out_rows = 2, held_out_length = 512;
  template <class V>
  static void fields(EvalConfig& c, V&& v) {
    v("tasks", c.tasks), v("search_items", c.search_items, at_least(1)), v("items", c.items, at_least(1));
    v("held_out_rows", c.held_out_rows, at_least(1, 1e6)), v("held_out_length", c.held_out_length, at_least(2, 1e8));
  }
};

/// Whether a block has no weights beside the base's own: attention in a window.
bool is_window(const std::string& block);

struct SupernetConfig {
  std::string branch = "gla";
  std::string paths = "half";  // which are trained: half, uniform, budget (path_sampling.h)
  // Students whose block can compute what a branch does (take_over, jet/train/torch_model.h) start from the trained
  // branches, not from the attention.
  bool starts_students = false;
  BudgetConfig budget{};
  template <class V>
  static void fields(SupernetConfig& c, V&& v) {
    v("branch", c.branch), v("paths", c.paths), v("starts_students", c.starts_students), v("budget", c.budget);
  }
  bool trains() const { return !is_window(branch); }
  void check(const std::string& where) const;
};

/// One term of an objective: a task's accuracy (and loss, which breaks ties), or its loss alone, weighed. The task "kl"
/// is no file of items: the KL to the base on training texts, a loss.
inline constexpr const char* kKlTask = "kl";
struct TaskWeight {
  std::string task;
  double weight = 1;
  std::string by{};  // accuracy, loss, auto; none: as placement.by
  template <class V>
  static void fields(TaskWeight& c, V&& v) {
    v("task", c.task), v("weight", c.weight, at_least(0)), v("by", c.by);
  }
  bool by_loss() const { return by == "loss" || task == kKlTask; }
};

/// Learned gates (jet/search/selectors/gates.cc).
struct GatesConfig {
  TrainConfig train{};
  double budget_weight = 10, sharpen = 0.05;
  template <class V>
  static void fields(GatesConfig& c, V&& v) {
    v("train", c.train), v("budget_weight", c.budget_weight, at_least(0)), v("sharpen", c.sharpen, at_least(0));
  }
};

struct PlacementConfig {
  int full = 2, swa = 1, window = 64;  // layers that keep full attention; layers that get a sliding window
  int eliminate = 0;                   // of the others, layers that lose their mixer
  bool keep_windows = true;            // layers that have a window in the base stay as they are
  std::string selector = "beam";       // whose choice counts; the others are listed beside it
  std::vector<int> layers{};           // the choice of the selector "given": a placement that is known
  std::vector<std::string> selectors = {"uniform", "random", "exhaustive"};
  int beam = 3;         // width
  int beam_budget = 0;  // evaluations, 0: no limit
  double step = 0;      // top down: the share of the layers still to become linear that do so at once; 0: one by one
  int swaps = 0;        // evaluations by which swaps improve the selector's choice, 0: none
  // Not negative: a smaller set ends the search where it loses at most this much of the accuracy of all layers full.
  double beam_patience = -1;
  // accuracy, loss, or auto: a term by its accuracy where that tells the first sets of the search apart, else by loss
  std::string by = "auto";
  // Not 0: a depth of a beam is asked by successive halving, all of its sets on this many items (halving.h).
  int first_items = 0;
  int shared_mb = 512;  // memory for what paths have in common (shared_layers.h); 0: every path runs whole
  // None: full layers go by the tasks of retrieval, windows by those with choices; where there are none, by all alike.
  std::vector<TaskWeight> full_objective{}, swa_objective{};
  GatesConfig gates{};
  template <class V>
  static void fields(PlacementConfig& c, V&& v) {
    v("full", c.full, at_least(0, 1e6)), v("swa", c.swa, at_least(0, 1e6)), v("window", c.window, at_least(1));
    v("eliminate", c.eliminate, at_least(0, 1e6)), v("keep_windows", c.keep_windows);
    v("selector", c.selector), v("layers", c.layers, at_least(0, 1e6));
    v("selectors", c.selectors), v("beam", c.beam, at_least(1));
    v("beam_budget", c.beam_budget, at_least(0)), v("step", c.step, share()), v("swaps", c.swaps, at_least(0));
    v("beam_patience", c.beam_patience, at_least(-1, 1).with("negative: no patience"));
    v("first_items", c.first_items, at_least(0, 1e9)), v("shared_mb", c.shared_mb, at_least(0, 1e6));
    v("by", c.by), v("full_objective", c.full_objective), v("swa_objective", c.swa_objective), v("gates", c.gates);
  }
  void check(const std::string& where) const;
};

/// Placements distilled alike, several seeds each: how well the supernet's scores predict, and what the search is worth
/// at every number of full layers. Neither asked for: the stage is left out.
struct ValidationConfig {
  int placements = 0, seeds = 3;         // the selectors' sets come first, then random ones
  int random_seeds = 0;                  // of the random ones; 0: `seeds`, too
  std::vector<std::string> samplings{};  // supernets trained on other paths, at equal tokens: which predicts best?
  std::vector<int> curve{};              // numbers of full layers at which the search is compared with even spacing
  double lr = 2e-3;
  BudgetConfig budget{};
  template <class V>
  static void fields(ValidationConfig& c, V&& v) {
    v("placements", c.placements, at_least(0, 1e6)), v("seeds", c.seeds, at_least(1, 1e6));
    v("random_seeds", c.random_seeds, at_least(0, 1e6)), v("samplings", c.samplings);
    v("curve", c.curve, at_least(0, 1e6)), v("lr", c.lr, above(0)), v("budget", c.budget);
  }
  int seeds_of_random() const { return random_seeds > 0 ? random_seeds : seeds; }
  void check(const std::string& where) const;
};

/// What a block's score weighs (jet/search/block_stage.cc).
struct ScoreWeights {
  double accuracy = 1, speed = 0, memory = 0, stability = 0;
  template <class V>
  static void fields(ScoreWeights& c, V&& v) {
    v("accuracy", c.accuracy, at_least(0)), v("speed", c.speed, at_least(0)), v("memory", c.memory, at_least(0));
    v("stability", c.stability, at_least(0));
  }
  void check(const std::string& where) const;
};

struct BlocksConfig {
  std::vector<std::string> kinds = {"retnet", "mamba2", "gla", "delta_net", "gated_delta_net", "rwkv7", "jet"};
  std::vector<double> lrs = {1e-3};  // each kind is trained at each; the best by held-out loss counts
  int leaders = 3, seeds = 1;        // the best `leaders` are trained from this many seeds
  bool random_start = false;         // the chosen block once more without the attention's weights
  ScoreWeights weights{};
  BudgetConfig budget{};
  template <class V>
  static void fields(BlocksConfig& c, V&& v) {
    v("kinds", c.kinds), v("lrs", c.lrs, above(0)), v("leaders", c.leaders, at_least(1, 1e6));
    v("seeds", c.seeds, at_least(1, 1e6)), v("random_start", c.random_start), v("weights", c.weights);
    v("budget", c.budget);
  }
  void check(const std::string& where) const;
};

struct DimensionsConfig {
  // Tried in all combinations: [heads, dk, dv], all with the same product; widths of the block's short convolution;
  // sliding windows. None: as they are.
  std::vector<std::vector<int>> candidates;
  std::vector<int> conv{}, windows{};
  int most = 8;                   // trained and measured; the cost model leaves those that it predicts to be fastest
  double speed_tolerance = 0.25;  // a candidate slower than the fastest by more than this share is out
  int context = 1024, batch = 1;  // where decode tokens/s are measured
  template <class V>
  static void fields(DimensionsConfig& c, V&& v) {
    v("candidates", c.candidates, at_least(1, 1e5)), v("conv", c.conv, at_least(1, 1e3));
    v("windows", c.windows, at_least(1)), v("most", c.most, at_least(1, 1e6));
    v("speed_tolerance", c.speed_tolerance, share()), v("context", c.context, at_least(0));
    v("batch", c.batch, at_least(1, 1e6));
  }
  void check(const std::string& where) const;
};

struct StagesConfig {
  DistillConfig stage1{}, stage2{};
  template <class V>
  static void fields(StagesConfig& c, V&& v) {
    v("stage1", c.stage1), v("stage2", c.stage2);
  }
  void check(const std::string& where) const;
};

struct SpeedConfig {
  std::vector<int64_t> contexts = {0, 1024, 2048, 3840};
  int decode = 48, repeats = 7, prefill = 128;
  template <class V>
  static void fields(SpeedConfig& c, V&& v) {
    v("contexts", c.contexts, at_least(0)), v("decode", c.decode, at_least(1, 1e6));
    v("repeats", c.repeats, at_least(1, 1e6)), v("prefill", c.prefill, at_least(1, 1e8));
  }
};

/// The model that `jet pretrain` trains from nothing.
struct ModelConfig {
  int layers = 8, hidden = 256, heads = 4, kv_heads = 2, mlp = 704, context = 4096;
  double rope_theta = 100000;
  template <class V>
  static void fields(ModelConfig& c, V&& v) {
    v("layers", c.layers, at_least(1, 1e4)), v("hidden", c.hidden, at_least(1, 1e6));
    v("heads", c.heads, at_least(1, 1e5)), v("kv_heads", c.kv_heads, at_least(1, 1e5));
    v("mlp", c.mlp, at_least(1, 1e7)), v("context", c.context, at_least(1)), v("rope_theta", c.rope_theta, above(0));
  }
  void check(const std::string& where) const;
};

struct Recipe {
  std::string title = "PostNAS";
  uint64_t seed = 1;
  int threads = 0;                 // 0: all
  std::string device = "auto";     // where training runs: cpu, cuda, cuda:N, auto (cuda where libtorch finds one)
  std::string precision = "auto";  // of matrix products in training: fp32, bf16, auto (bf16 where the device has it)
  std::string frozen = "fp32";     // weights that are not trained: fp32 in memory, or mapped from the file as they lie
  bool checkpoint_activations = false;  // keep the layers' inputs alone and run each again in the backward pass
  bool separate_documents = false;      // in training, no document of a row sees another
  int64_t held_out_tokens = 8192;       // per source
  std::vector<SourceConfig> data;
  EvalConfig eval{};
  SupernetConfig supernet{};
  PlacementConfig placement{};
  ValidationConfig validation{};
  BlocksConfig blocks{};
  DimensionsConfig dimensions{};
  StagesConfig distill{};
  SpeedConfig speed{};
  ModelConfig model{};
  TrainConfig pretrain{};
  template <class V>
  static void fields(Recipe& r, V&& v) {
    v("title", r.title), v("seed", r.seed, at_least(0, 0x1p63)), v("threads", r.threads, at_least(0, 1e4));
    v("device", r.device), v("precision", r.precision), v("frozen", r.frozen);
    v("checkpoint_activations", r.checkpoint_activations), v("separate_documents", r.separate_documents);
    v("held_out_tokens", r.held_out_tokens, at_least(1, 1e15)), v("data", r.data), v("eval", r.eval);
    v("supernet", r.supernet), v("placement", r.placement), v("validation", r.validation), v("blocks", r.blocks);
    v("dimensions", r.dimensions), v("distill", r.distill), v("speed", r.speed), v("model", r.model);
    v("pretrain", r.pretrain);
  }
  void check(const std::string& where) const;
};

/// The file's tables as JSON; throws with file and line where it is no TOML. `include = "FILE"`, seen from this file's
/// folder, adds what that file says and this one does not: tables key by key, all else (arrays too) whole.
Json read_toml(const std::string& path);
/// Throws with file, line and key on anything that is not understood.
Recipe read_recipe(const std::string& path);

}  // namespace jet
