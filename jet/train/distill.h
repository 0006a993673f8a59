// Losses of a student against the frozen model that it comes from. Each is a sum over rows, so that a batch may be
// worked through in parts: the weights w of a whole batch sum to one.
//   feature loss of a layer:  mean over rows of mean (y - y*)^2 / mean y*^2     y: the mixer's output, * the teacher's
//   of what the head says:    head_loss.h
// Trained end to end, a student's layers are fed by each other; trained locally, each by the teacher's hidden states,
// so that nothing goes backward through frozen MLPs.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "jet/train/head_loss.h"
#include "jet/train/torch_model.h"

namespace jet {

/// What a model saw and said on one batch; a teacher's without gradients.
struct Trace {
  std::vector<at::Tensor> mixer_in,
      mixer_out;      // [B, T, hidden] per layer; undefined where it has no mixer; in: where it is not kept
  at::Tensor hidden;  // [B, T, hidden], what the head reads
  at::Tensor head;    // [vocab, hidden]
};

using MixerFn = std::function<at::Tensor(int layer, const at::Tensor& h)>;

/// What the layers of one model carry from chunk to chunk of the same rows (long rows, worked through with the memory
/// of a chunk). No gradient goes back into an earlier chunk.
class CarriedStates {
 public:
  /// mixer(state) with the layer's state before `position`; what it leaves is the state of the next position asked for.
  /// Asked again for the same one, as when a layer is run again in the backward pass, it begins alike.
  at::Tensor carry(const ModelSpec& spec, int layer, int64_t position,
                   const std::function<at::Tensor(MixerState<at::Tensor>&)>& mixer);

 private:
  struct Layer {
    int64_t position = 0;
    std::optional<MixerState<at::Tensor>> before, after;
  };
  std::map<int, Layer> layers_;
};

/// The model's forward pass with `mixer` in the place of its own mixers; records into `trace` where given. With
/// ops.recompute layers run again in the backward pass: ops, m and what `mixer` refers to must live until then, and
/// gradients are had by backward() (recompute.h).
at::Tensor forward_with(TorchOps& ops, const TorchModel& m, const TokenRows& rows, const MixerFn& mixer,
                        Trace* trace = nullptr);
/// The model's own mixers as a MixerFn, from an empty state or from what `states` carries. `ops` and `m` must outlive
/// it.
using States = std::shared_ptr<CarriedStates>;
MixerFn own_mixers(TorchOps& ops, const TorchModel& m, States states = nullptr);
Trace teach(TorchOps& ops, const TorchModel& teacher, const TokenRows& rows, States states = nullptr);

at::Tensor feature_loss(const at::Tensor& y, const at::Tensor& target);

/// Mean over `layers` of the feature loss of y [layer] against target [layer].
at::Tensor mean_feature_loss(const std::vector<at::Tensor>& y, const std::vector<at::Tensor>& target,
                             const std::vector<int>& layers);
/// The same of the student's mixers, each fed by the teacher's hidden states of its layer.
at::Tensor local_loss(TorchOps& ops, const TorchModel& student, const Trace& teacher, const std::vector<int>& layers,
                      States states = nullptr);

inline const at::Tensor& head_of(const TorchModel& m) {
  return m.spec.tie_word_embeddings ? m.weights.embed : m.weights.head;
}

}  // namespace jet
