// Losses of a student against the frozen model that it comes from. Each is a sum over rows, so that a batch may be
// worked through in parts: the weights w of a whole batch sum to one (`mean_weights`).
//   feature loss of a layer:  mean over rows of mean (y - y*)^2 / mean y*^2     y: the mixer's output, * the teacher's
//   KL:                       sum_t w_t sum_i p*_i (log p*_i - log p_i)         w: the loss weight of token t + 1
//   cross-entropy:            sum_t w_t (-log p(token t + 1))
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "jet/train/torch_model.h"

namespace jet {

/// What the teacher saw and said on one batch, without gradients.
struct Trace {
  std::vector<at::Tensor> mixer_in, mixer_out;  // [B, T, hidden] per layer
  at::Tensor hidden;                            // [B, T, hidden], after the final norm
};

using MixerFn = std::function<at::Tensor(int layer, const at::Tensor& h)>;

/// The model's forward pass with `mixer` in the place of its own mixers; records into `trace` where given.
at::Tensor forward_with(TorchOps& ops, const TorchModel& m, const at::Tensor& ids, const MixerFn& mixer,
                        Trace* trace = nullptr);
/// The model's own mixers, from an empty state, as a MixerFn. `ops` and `m` must outlive it.
MixerFn own_mixers(TorchOps& ops, const TorchModel& m);
Trace teach(TorchOps& ops, const TorchModel& teacher, const at::Tensor& ids);

/// Loss weights [B, T] scaled so that those of predicted tokens (all but a row's first) sum to one.
at::Tensor mean_weights(const at::Tensor& weights);

at::Tensor feature_loss(const at::Tensor& y, const at::Tensor& target);

/// Hidden states [B, T, hidden] and weights [B, T] -> KL over the vocabulary, head given.
at::Tensor kl_loss(const TorchOps& ops, const at::Tensor& hidden, const at::Tensor& teacher_hidden,
                   const at::Tensor& head, const at::Tensor& teacher_head, const at::Tensor& weights);
at::Tensor next_token_loss(const TorchOps& ops, const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& ids,
                           const at::Tensor& weights);

inline const at::Tensor& head_of(const TorchModel& m) {
  return m.spec.tie_word_embeddings ? m.weights.embed : m.weights.head;
}

}  // namespace jet
