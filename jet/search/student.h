// Training a student (the base with other mixers) against the teacher: alignment, distillation, and their losses.
#pragma once

#include "jet/search/run.h"

namespace jet {

/// The base with other mixers: attention layers (full or windowed) keep the base's weights; linear ones start from the
/// attention that they replace, or, without `inherit`, from random values. Everything is shared with the base until it
/// is trained.
TorchModel make_student(const TorchModel& base, const std::vector<MixerSpec>& layers, uint64_t seed,
                        bool inherit = true);

/// The student's layers whose mixer is no attention; one without a mixer has nothing to train.
std::vector<int> new_layers(const TorchModel& student);

/// Sets the output projection of the student's mixers in `layers` to the ridge regression of the teacher's mixer
/// outputs on what the mixers feed it: min |Z W^T - Y*|^2 + ridge |W|^2 over one batch of the stream.
void fit_outputs(const Teacher& teacher, TorchModel& student, const std::vector<int>& layers, const BatchStream& texts);

/// The part's share of the mean feature loss of the student's mixers in `layers`, each fed by the teacher's hidden
/// states of that layer.
at::Tensor align_loss(const Teacher& teacher, const TorchModel& student, const std::vector<int>& layers,
                      const BatchStream& texts, const Part& part);

/// feature_weight * mean feature loss over `layers` + kl_weight * KL + hidden_weight * feature loss of what the heads
/// read: the share of the batch's loss that `rows` have.
at::Tensor distill_loss(const TorchOps& ops, const DistillConfig& c, const Trace& teacher, const Trace& student,
                        const std::vector<int>& layers, const TorchBatch& rows);
/// The same of rows of `texts` through teacher and student, end to end.
at::Tensor end_to_end_loss(const Teacher& teacher, const TorchModel& student, const std::vector<int>& layers,
                           const BatchStream& texts, const Part& part, const DistillConfig& c);

/// What of a student is trained: mixers that are no attention, those that the base has not (windows too), all, or
/// everything.
enum class Scope { new_mixers, changed_mixers, all_mixers, everything };
/// Gives the student tensors of its own for them, and returns these.
NamedTensors scope_parameters(const ModelSpec& base, TorchModel& student, Scope scope);

/// Those of `parameters` that no block took over whole from the attention in its place: what alignment trains.
NamedTensors new_parts(const TorchModel& student, NamedTensors parameters);

/// Distillation of `student` in place, end to end or, where `c` says so, locally (then changed mixers alone); resumable
/// under `name`. `so_far` is told of every new point of its curve. Throws where the loss stops being finite.
TrainResult distill(Run& run, TorchModel& student, const std::string& name, const DistillConfig& c, Scope scope,
                    const std::function<void(const TrainResult&)>& so_far = {});

}  // namespace jet
