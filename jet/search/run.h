// What all stages of one run share: the base (teacher), its tokenizer, the texts and items, the ledger; and the few
// verbs that every stage uses.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jet/data/corpus.h"
#include "jet/eval/tasks.h"
#include "jet/search/ledger.h"
#include "jet/search/recipe.h"
#include "jet/train/distill.h"

namespace jet {

/// A part of a batch as tensors.
struct TorchBatch {
  TokenRows rows;
  at::Tensor next, weights;  // [B, N]: what the first N positions predict, and its loss weight; those of a whole batch
                             // sum to one
  double share = 1;          // of the batch's tokens
  std::shared_ptr<CarriedModels> carried{};

  /// What a model carries from chunk to chunk; null where rows are whole.
  States states(const std::string& model) const;
};
/// `apart`: no document of a row sees another.
TorchBatch to_torch(const TokenBatch& b, const Part& part, bool apart = false, at::Device device = at::kCPU);
inline TorchBatch to_torch(const TokenBatch& b) { return to_torch(b, {0, 0, b.batch}); }

/// cpu, cuda, cuda:N, or auto: cuda where libtorch finds a GPU. Of a machine's GPUs each of its processes gets the
/// next. Throws where there is no such device; `where` asks for it.
at::Device device_named(const std::string& name, const std::string& where);
/// Of matrix products: fp32, bf16, or auto (bf16 where the device has it).
at::ScalarType precision_named(const std::string& name, at::Device device);

struct Run {
  /// `trials`: other processes work in `out` too, each on candidates of its own (Ledger, shared).
  Run(std::string base_folder, const std::string& recipe_path, const std::string& out, bool trials = false);

  std::string base_folder;
  Recipe recipe;
  at::Device device;
  Ledger ledger;
  Tokenizer tokenizer;
  Corpus corpus;
  TorchModel base;
  std::vector<Task> search_tasks, tasks;  // small sets for the search, larger ones for reported figures; disjoint
  TorchOps ops;

  /// A model as the recipe wants frozen weights: fp32 in memory, or as they lie in the file, on the CPU mapped.
  TorchModel load_model(const std::string& folder) const;
  /// A part of a step's batch, or the whole of it.
  TorchBatch batch(const std::string& stage, const Part& part, const TrainConfig& c) const;
  TorchBatch batch(const std::string& stage, int64_t step, const TrainConfig& c) const {
    return batch(stage, Part{step, 0, c.batch}, c);
  }
  /// Throws where a training of this recipe section would see a source more often than its `epochs`.
  void require_epochs(const std::string& section, const TrainConfig& c) const;
  void require_epochs(const std::string& section, const BudgetConfig& c) const;
  std::string checkpoint(const std::string& name) const {
    return ledger.folder() + "/checkpoints/" + name + ".safetensors";
  }

  /// The search items of a task; throws where there is no such task.
  const Task& search_task(const std::string& name) const;
  /// Tokens of them.
  int64_t search_tokens(const std::string& task) const;

  /// {"tasks": {name: score}, "loss": mean held-out nats, "losses": {source: nats}} of a forward pass ids -> hidden.
  using HiddenFn = std::function<at::Tensor(const at::Tensor& ids)>;
  TaskScore score(const Task& task, const HiddenFn& hidden, const at::Tensor& head) const;
  Json evaluate(const std::vector<Task>& which, const HiddenFn& hidden, const at::Tensor& head) const;
  /// Of a model's own forward pass; by the first process, for all of its world.
  Json evaluate(const std::vector<Task>& which, const TorchModel& m);
};

/// The base with other mixers: attention layers (full or windowed) keep the base's weights; linear ones start from the
/// attention that they replace, or, without `inherit`, from random values. Everything is shared with the base until it
/// is trained.
TorchModel make_student(const TorchModel& base, const std::vector<MixerSpec>& layers, uint64_t seed,
                        bool inherit = true);

}  // namespace jet
