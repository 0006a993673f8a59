// Training a student (the base with other mixers) against the base: alignment, distillation, and their losses.
#pragma once

#include "jet/search/run.h"

namespace jet {

/// Sets the output projection of the student's mixers in `layers` to the ridge regression of the teacher's mixer
/// outputs on what the mixers feed it: min |Z W^T - Y*|^2 + ridge |W|^2 over one batch of the stream.
void fit_outputs(Run& run, TorchModel& student, const std::vector<int>& layers, const std::string& stream,
                 const TrainConfig& c);

/// The part's share of the mean feature loss of the student's mixers in `layers`, each fed by the teacher's hidden
/// states of that layer.
at::Tensor align_loss(Run& run, const TorchModel& student, const std::vector<int>& layers, const std::string& stream,
                      const Part& part, const TrainConfig& c);

/// feature_weight * mean feature loss over `layers` + kl_weight * KL: the share of the batch's loss that `rows` have.
at::Tensor distill_loss(const TorchOps& ops, const DistillConfig& c, const Trace& teacher, const Trace& student,
                        const std::vector<int>& layers, const TorchBatch& rows);

/// What of a student is trained: mixers that are no attention, those that the base has not (windows too), all, or
/// everything.
enum class Scope { new_mixers, changed_mixers, all_mixers, everything };
/// Gives the student tensors of its own for them, and returns these.
NamedTensors scope_parameters(const ModelSpec& base, TorchModel& student, Scope scope);

/// Distillation of `student` in place, end to end or, where `c` says so, locally (then changed mixers alone); resumable
/// under `name`.
TrainResult distill(Run& run, TorchModel& student, const std::string& name, const DistillConfig& c, Scope scope);

/// A student to be trained and compared with others on one budget. `seed` 0 is the recipe's; others draw other first
/// values and other texts.
struct Candidate {
  std::string name;
  std::vector<MixerSpec> layers;
  double lr = 0;  // of the alignment
  uint64_t seed = 0;
  const BudgetConfig* budget = nullptr;  // null: the recipe's for blocks
  bool inherit = true;                   // false: first values of its own, nothing of the attention that it replaces
  bool speed = true;                     // measure the engine with it
};

/// Trains a candidate, then evaluates it on the reported items. Returns
/// {"tasks", "loss", "train", "decode_tps", "cache_bytes", ...}; the student itself can be had again with
/// load_candidate.
Json train_candidate(Run& run, const Candidate& c);
/// Trains all of them; where processes share the run, each takes those that no other one is at. Returns when every
/// candidate is done, by whomever.
void train_candidates(Run& run, const std::vector<Candidate>& candidates);
TorchModel load_candidate(Run& run, const Candidate& c);

}  // namespace jet
