// What PostNAS costs on GPUs, on paper: FLOPs of a training step and memory of each GPU, for the supernet, stage 1
// (mixers trained) and stage 2 (everything trained), counted by the model's own forward pass (count_ops.h).
//
// FLOPs a token    teacher forward + student forward + backward + with checkpointing the layers' forward once more
//   backward       a forward for every weight that is trained, and one for every input that wants a gradient
// Bytes a GPU, N GPUs, data parallel:
//   weights        2 (bf16) a number of student and teacher; what both keep frozen lies there once
//   gradients      4 a trained number
//   optimiser      12 / N a trained number: fp32 master, two moments, sharded
//   activations    what the backward pass needs (bf16; chunk states fp32); with checkpointing the layers' inputs and
//                  the layer that needs most
//   targets        mixer outputs of teacher and student, bf16, for the feature loss
//   logits         16 a number of a chunk: teacher's and student's in fp32, and what the loss makes of each
// Seconds a step: the greater of FLOPs over the peak's share and of the gradients' all-reduce, 2 (N - 1) / N of their
// bytes over a GPU's link: NVLink up to 8 GPUs, the network beyond; it overlaps with the backward pass.
#pragma once

#include <string>
#include <vector>

#include "jet/model/model_cost.h"

namespace jet {

struct Gpu {
  std::string name;
  double bf16_flops = 0, memory_bytes = 0, bandwidth = 0;  // dense products; bytes/s of its memory
  double nvlink = 0, network = 0;                          // bytes/s each way, within and between nodes of 8
  template <class V>
  static void fields(Gpu& g, V&& v) {
    v("name", g.name), v("bf16_flops", g.bf16_flops), v("memory_bytes", g.memory_bytes), v("bandwidth", g.bandwidth);
    v("nvlink", g.nvlink), v("network", g.network);
  }
};
/// Those we know, from their makers' data sheets.
const std::vector<Gpu>& known_gpus();
Gpu gpu_named(const std::string& name);

struct TrainOptions {
  int64_t rows = 2, length = 4096;  // of tokens, a GPU and pass: more is accumulated
  int64_t logit_chunk = 1024;       // tokens whose logits exist at once
  double full_share = 0.25;         // of a supernet path's layers
  int activation_bytes = 2;         // a number
};

struct StagePlan {
  std::string name;
  double trained = 0, frozen = 0;  // numbers; frozen: student's and teacher's, what they share once
  // A token's.
  double teacher_flops = 0, forward_flops = 0, backward_flops = 0, recompute_flops = 0;
  double moved_bytes = 0;  // every op's inputs and outputs, unfused; a backward moves twice what its forward does
  // Bytes on every GPU, and the optimiser's on all together.
  double weight_bytes = 0, gradient_bytes = 0, optimiser_bytes = 0, target_bytes = 0, logit_bytes = 0;
  double activation_bytes = 0, checkpointed_bytes = 0;

  double flops(bool checkpointed) const {
    return teacher_flops + forward_flops + backward_flops + (checkpointed ? recompute_flops : 0);
  }
  double memory(int64_t gpus, bool checkpointed) const;
  /// Seconds of a step of `tokens` tokens in all: of computing where all FLOPs run at a share `mfu` of the peak, and of
  /// the all-reduce.
  double compute_seconds(double tokens, int64_t gpus, const Gpu& gpu, double mfu, bool checkpointed) const;
  double reduce_seconds(int64_t gpus, const Gpu& gpu) const;
  /// The share of the peak that is left where no op is fused with another and nothing overlaps.
  double unfused_mfu(const Gpu& gpu, bool checkpointed) const;
  /// Whether activations must be checkpointed to fit; throws where even that is too much.
  bool needs_checkpoints(int64_t gpus, const Gpu& gpu) const;
};

/// The base with a linear branch of a kind beside every attention, of which a path takes one; the branches are trained.
StagePlan plan_supernet(const ModelSpec& base, const std::string& branch, const TrainOptions& o);
/// The student distilled from the base.
StagePlan plan_distillation(const std::string& name, const ModelSpec& base, const ModelSpec& student,
                            const IsTrained& trained, const TrainOptions& o);

/// The student's changed mixers distilled layer by layer: each is fed by the teacher's hidden states, no MLP goes
/// backward, and there are no logits.
StagePlan plan_local(const ModelSpec& base, const ModelSpec& student, const TrainOptions& o);

/// The base with `n_full` of its layers left as they are, evenly spaced, and a mixer of `kind` in the others; throws
/// where a layer of the base is no attention.
ModelSpec with_block(const ModelSpec& base, const std::string& kind, int n_full);

/// Layers whose mixer is another one than the base's: new blocks and windows.
std::vector<int> changed_layers(const ModelSpec& base, const ModelSpec& student);

/// Share of a GPU's memory that a plan may fill; the rest is for the allocator, kernels and communication.
constexpr double kUsableMemory = 0.9;

}  // namespace jet
