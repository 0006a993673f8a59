// Training a student (the base with other mixers) against the teacher: alignment, distillation, and their losses.
#pragma once

#include "jet/search/run.h"

namespace jet {

/// The base with other mixers: attention layers (full or windowed) keep the base's weights; linear ones start from the
/// attention that they replace, or, without `inherit`, from random values. Everything is shared with the base until it
/// is trained.
TorchModel make_student(const TorchModel& base, const std::vector<MixerSpec>& layers, uint64_t seed,
                        bool inherit = true);

/// The layers whose mixer is no attention; one without a mixer has nothing to train.
std::vector<int> new_layers(const std::vector<MixerSpec>& layers);
/// Those whose mixer the base has not: windows, too.
std::vector<int> changed_mixers(const ModelSpec& base, const TorchModel& student);

/// How the student's mixers in `layers` start, from one batch of the stream. Their output projection becomes the ridge
/// regression of the teacher's mixer outputs on what they feed it, min |Z W^T - Y*|^2 + ridge |W|^2. Before that, where
/// `look_back`, decays -exp(A_log) softplus(.. + dt_bias) become those of a memory whose mean age is the mean distance
/// of the keys that the teacher's head reads, a text's first ones left out:
///   A_log = 0, softplus(dt_bias) = log(1 + 1 / age).
void fit_start(const Teacher& teacher, TorchModel& student, const std::vector<int>& layers, const BatchStream& texts,
               bool look_back);

/// The part's share of the mean feature loss of the student's mixers in `layers`, each fed by the teacher's hidden
/// states of that layer. Of `kept` > 0 batches, over and over, with what the teacher makes of them on disk.
at::Tensor align_loss(const Teacher& teacher, const TorchModel& student, const std::vector<int>& layers,
                      const BatchStream& texts, const Part& part, int kept = 0);

/// feature_weight * mean feature loss over `layers` + kl_weight * KL + hidden_weight * feature loss of what the heads
/// read: the share of the batch's loss that `rows` have.
at::Tensor distill_loss(const TorchOps& ops, const DistillConfig& c, const Trace& teacher, const Trace& student,
                        const std::vector<int>& layers, const TorchBatch& rows);
/// The same of rows of `texts` through teacher and student, end to end.
at::Tensor end_to_end_loss(const Teacher& teacher, const TorchModel& student, const std::vector<int>& layers,
                           const BatchStream& texts, const Part& part, const DistillConfig& c);

/// What of a student is trained: mixers that the base has not (windows too), all, all but embedding and head, or
/// everything.
enum class Scope { changed_mixers, all_mixers, layers, everything };
/// Gives the student tensors of its own for them, and returns these.
NamedTensors scope_parameters(const ModelSpec& base, TorchModel& student, Scope scope);

/// Those of `parameters` that were not taken over whole from the attention in their place: what alignment trains. Of a
/// window none.
NamedTensors new_parts(const TorchModel& student, NamedTensors parameters);

/// Distillation of `student` in place, end to end or, where `c` says so, locally (then changed mixers alone); resumable
/// under `name`. `so_far` is told of every new point of its curve. Throws where the loss stops being finite.
TrainResult distill(Run& run, TorchModel& student, const std::string& name, const DistillConfig& c, Scope scope,
                    const std::function<void(const TrainResult&)>& so_far = {});

}  // namespace jet
