// What a world of processes does with tensors that lie on GPUs, one GPU a process: by NCCL, on a stream of its own
// beside that of the computation. Each call waits, on the GPU, for what was computed before it.
#pragma once

#include <memory>

#include "jet/train/world.h"

namespace jet {

class GpuLink {
 public:
  GpuLink() = default;
  virtual ~GpuLink() = default;
  GpuLink(const GpuLink&) = delete;
  GpuLink& operator=(const GpuLink&) = delete;

  /// Starts World::start_sum, World::start_broadcast.
  virtual void sum(const at::Tensor& x) = 0;
  virtual void broadcast(const at::Tensor& x, int from) = 0;
  /// World::move and World::wait: what follows on the GPU finds them done.
  virtual void move(const at::Tensor& x, int from, int to) = 0;
  virtual void wait() = 0;
};

/// Called by all processes of the world at the same time, each with its own GPU; the world's text carries NCCL's id.
/// Throws where this program was built without NCCL, or where two processes come with the same GPU.
std::unique_ptr<GpuLink> link_gpus(World& world, c10::Device device);

}  // namespace jet
