// What a run trains on: the texts of its recipe, encoded, and batches of them as tensors. A batch is a function of
// (the recipe's seed, the stream's name, the step) alone, so every training can be taken up again at any step.
#pragma once

#include <memory>
#include <string>

#include "jet/data/corpus.h"
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

/// Encodes or maps every source. Borrows the recipe.
class TrainingData {
 public:
  TrainingData(const Recipe& recipe, const std::string& tokenizer_folder, at::Device device);
  TrainingData(const TrainingData&) = delete;
  TrainingData& operator=(const TrainingData&) = delete;

  /// A part of a step's batch of the stream, or the whole of it.
  TorchBatch batch(const std::string& stream, const Part& part, const TrainConfig& c) const;
  TorchBatch batch(const std::string& stream, int64_t step, const TrainConfig& c) const {
    return batch(stream, Part{step, 0, c.batch}, c);
  }
  /// Throws where this training of the recipe has no tokens, or would see a source more often than its `epochs`.
  void require_trainable(const std::string& section, const TrainConfig& c) const;
  /// The same of a budget, of which one part may be left out.
  void require_trainable(const std::string& section, const BudgetConfig& c) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const Corpus& corpus() const { return corpus_; }
  at::Device device() const { return device_; }

 private:
  const Recipe& recipe_;
  at::Device device_;
  Tokenizer tokenizer_;  // the corpus borrows it
  Corpus corpus_;
};

/// Rows that one training sees, in its order.
struct BatchStream {
  const TrainingData& data;
  std::string name;
  TrainConfig config{};
  TorchBatch batch(const Part& part) const { return data.batch(name, part, config); }
};

}  // namespace jet
