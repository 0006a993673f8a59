#include "jet/search/training_data.h"

#include <algorithm>

#include "jet/base/rng.h"
#include "jet/base/threads.h"

namespace jet {

using at::Tensor;

TorchBatch to_torch(const TokenBatch& b, const Part& p, bool apart, at::Device device) {
  const std::vector<int64_t> all(b.ids.begin(), b.ids.end());
  const Tensor ids = at::tensor(all, at::kLong).to(device).view({b.batch, b.length}).narrow(0, p.from, p.rows);
  const Tensor weights = at::tensor(b.weights, at::kFloat).to(device).view({b.batch, b.length});
  const Tensor predicted = weights.narrow(1, 1, b.length - 1);
  const int tokens = p.tokens > 0 ? p.tokens : b.length, n = std::min(tokens, b.length - 1 - p.begin);
  TorchBatch out;
  out.rows = TokenRows(ids.narrow(1, p.begin, tokens), nullptr, p.begin);
  if (apart) {
    const auto starts = std::span(b.starts).subspan(size_t(p.from) * b.length, size_t(p.rows) * b.length);
    out.rows.documents = std::make_shared<const Documents>(starts, p.rows, b.length, device);
  }
  out.next = ids.narrow(1, p.begin + 1, n);
  constexpr double kNoWeight = 1e-30;  // rows without an answer, where nothing else counts: their loss is 0
  out.weights = (predicted / predicted.sum().clamp_min(kNoWeight)).narrow(0, p.from, p.rows).narrow(1, p.begin, n);
  out.share = static_cast<double>(p.rows) * tokens / (static_cast<double>(b.batch) * b.length);
  out.carried = p.carried;
  return out;
}

States TorchBatch::states(const std::string& model) const {
  if (!carried) return nullptr;
  auto& states = (*carried)[model];
  if (!states) states = std::make_shared<CarriedStates>();
  return states;
}

TrainingData::TrainingData(const Recipe& recipe, const std::string& tokenizer_folder, at::Device device)
    : recipe_(recipe), device_(device), tokenizer_(Tokenizer::load(tokenizer_folder)),
      corpus_(Corpus::load(tokenizer_, recipe.data, recipe.held_out_tokens, threads_asked(recipe.threads))) {}

// The whole batch is drawn for any part of it: its weights sum to one over all parts.
TorchBatch TrainingData::batch(const std::string& stream, const Part& p, const TrainConfig& c) const {
  return to_torch(corpus_.train_batch(hash64(stream, recipe_.seed), p.step, c.batch, c.length), p,
                  recipe_.separate_documents, device_);
}

void TrainingData::require_trainable(const std::string& section, const TrainConfig& c) const {
  require(c.tokens > 0, "{}.tokens is 0, expected a number in [1, 1e+15]: this command trains on them", section);
  corpus_.require_epochs(section, c.steps() * c.tokens_per_step(), c.length);
}

void TrainingData::require_trainable(const std::string& section, const BudgetConfig& c) const {
  const TrainConfig &align = c.align, &distill = c.distill.train;
  require(align.tokens > 0 || distill.tokens > 0,
          "{}.budget: align.tokens and distill.train.tokens are 0, expected one of them in [1, 1e+15]", section);
  if (align.tokens > 0) require_trainable(section + ".budget.align", align);
  if (distill.tokens > 0) require_trainable(section + ".budget.distill.train", distill);
}

}  // namespace jet
