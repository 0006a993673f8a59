// The gradients of a step, added up over the parts of its batch and over the processes of the world.
//
//   parameters   p0 p1 p2 p3 p4 p5       gradients arrive from the last to the first, as a backward pass makes them
//   buckets      [p5 p4] [p3 p2 p1] [p0]       some MB each, one buffer a bucket
//
// With many processes the backward pass adds its gradients into the buckets itself, so they are held once. A bucket is
// sent off to be added up when the last part's last gradient of it has arrived, while the pass goes on with the layers
// below. Buckets leave in their order, the same on every process. In a world of one, gradients stay the tensors that
// the backward pass made, or are added up where the caller has room for them.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "jet/train/world.h"

namespace jet {

class Gradients {
 public:
  /// Of `leaves`, which require gradients: fp32, contiguous, on one device. `room`: a tensor a leaf, or none; for a
  /// world of one.
  Gradients(World& world, std::vector<at::Tensor> leaves, std::vector<at::Tensor> room = {});
  ~Gradients();
  Gradients(const Gradients&) = delete;
  Gradients& operator=(const Gradients&) = delete;

  /// Runs the backward pass of a part's loss and adds its gradients; with the `last` part of this process buckets
  /// leave.
  void add(const at::Tensor& loss, bool last);
  /// The sums, one a leaf, zero where no part used it; valid until the next add(), which begins another step.
  std::vector<at::Tensor> take();

 private:
  struct Bucket {
    at::Tensor buffer;
    size_t missing = 0;  // leaves whose gradient of the last part has not arrived
    std::vector<size_t> leaves;
  };
  struct Hook;
  void make_buckets();
  void arrived(size_t bucket);
  void send_full_buckets();

  World& world_;
  std::vector<at::Tensor> leaves_, room_, sums_;  // with many processes sums_ are views into the buckets' buffers
  std::vector<Bucket> buckets_;
  size_t sent_ = 0;
  bool fresh_ = true, last_ = false;  // no part was added since take(); the part being added is the last
};

/// Which process keeps a parameter's moments and updates it: the largest first, each to the one that has least.
std::vector<int> owners_of(const std::vector<at::Tensor>& parameters, int processes);

}  // namespace jet
