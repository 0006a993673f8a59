// Losses of what a head says, z_t = W h_t, p = softmax z. Positions are taken a chunk at a time, so that [T, vocab]
// logits of all of them never exist. With w_t the loss weight of token t + 1, which position t predicts:
//   KL:             sum_t w_t sum_i p*_i (log p*_i - log p_i)       dz = w (p - p*)        p*: the teacher's
//   cross-entropy:  sum_t w_t (-log p(token t + 1))                 dz = w (p - one)       one: 1 at token t + 1
// then dh = dz W, dW = dz^T h. Both are taken in the forward pass, while a chunk's logits are there: the loss is a
// scalar, so its backward pass only scales them.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>

#include "jet/train/torch_ops.h"

namespace jet {

/// Positions of a chunk, at least one. Its logits are 32 MB of each of three kinds on CPUs, 128 MB on GPUs, whose
/// products want more positions.
inline int64_t positions_at_once(int64_t vocab, const at::Device& device) {
  return std::max<int64_t>(1, (int64_t{1} << (device.is_cpu() ? 23 : 25)) / vocab);
}

/// The end of a model: its logits are hidden head^T.
struct ModelEnd {
  at::Tensor hidden;  // [B, T, hidden]
  at::Tensor head;    // [vocab, hidden]
};
/// KL over the vocabulary, with weights [B, N] of what the first N <= T positions of every row predict. (A row's last
/// position predicts something only where the row goes on.) Here and below, `positions`: of a chunk; 0:
/// positions_at_once().
at::Tensor kl_loss(const TorchOps& ops, const ModelEnd& student, const ModelEnd& teacher, const at::Tensor& weights,
                   int64_t positions = 0);

/// What a teacher says at M positions: its k greatest probabilities, and what is left to all other tokens together.
struct Targets {
  at::Tensor ids;       // [M, k] int32
  at::Tensor log_p;     // [M, k]
  at::Tensor log_rest;  // [M]; -inf where nothing is left
};
/// Of hidden states [B, N, hidden]; M = B N.
Targets top_targets(const TorchOps& ops, const at::Tensor& teacher_hidden, const at::Tensor& teacher_head, int64_t k,
                    int64_t positions = 0);
/// KL over k + 1 outcomes, the last being all other tokens: at most the KL over the vocabulary, and equal to it for
/// k = vocab. Among the others the student is left as it is: dz = w p (1 - rest* / rest).
at::Tensor kl_loss(const TorchOps& ops, const at::Tensor& hidden, const at::Tensor& head, const Targets& targets,
                   const at::Tensor& weights, int64_t positions = 0);

/// Cross-entropy of next [B, N], the tokens that the first N positions of every row predict.
at::Tensor next_token_loss(const TorchOps& ops, const at::Tensor& hidden, const at::Tensor& head,
                           const at::Tensor& next, const at::Tensor& weights, int64_t positions = 0);

}  // namespace jet
