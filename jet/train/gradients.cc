#include "jet/train/gradients.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <numeric>

namespace jet {

using at::Tensor;

namespace {

constexpr int64_t kBucket = 1 << 20;  // values: 4 MB

}  // namespace

// Called when the backward pass has added a leaf's gradient, once a pass.
struct Gradients::Hook : torch::autograd::PostAccumulateGradHook {
  Hook(Gradients& gradients, size_t bucket_of_leaf) : owner(gradients), bucket(bucket_of_leaf) {}
  void operator()(const Tensor& /*leaf*/) override { owner.arrived(bucket); }
  Gradients& owner;
  size_t bucket;
};

Gradients::Gradients(World& world, std::vector<Tensor> leaves, std::vector<Tensor> room)
    : world_(world), leaves_(std::move(leaves)), room_(std::move(room)), sums_(leaves_.size()) {
  if (!world_.alone()) make_buckets();
}

Gradients::~Gradients() {
  if (world_.alone()) return;
  for (Tensor& leaf : leaves_) {
    leaf.mutable_grad() = Tensor();
    torch::autograd::impl::set_post_acc_grad_hooks(leaf, nullptr);
  }
}

void Gradients::make_buckets() {
  std::vector<int64_t> sizes;
  for (size_t i = leaves_.size(); i-- > 0;) {
    const bool full = sizes.empty() || sizes.back() + leaves_[i].numel() > kBucket;
    if (full) buckets_.emplace_back(), sizes.push_back(0);
    buckets_.back().leaves.push_back(i);
    sizes.back() += leaves_[i].numel();
  }
  for (size_t b = 0; b < buckets_.size(); ++b) {
    buckets_[b].buffer = at::zeros({sizes[b]}, leaves_[0].options().requires_grad(false));
    int64_t at = 0;
    for (const size_t i : buckets_[b].leaves) {
      sums_[i] = buckets_[b].buffer.narrow(0, at, leaves_[i].numel()).view(leaves_[i].sizes());
      at += leaves_[i].numel();
      torch::autograd::impl::set_post_acc_grad_hooks(leaves_[i], std::make_unique<Hook>(*this, b));
    }
  }
}

void Gradients::arrived(size_t bucket) {
  if (!last_) return;
  require(buckets_[bucket].missing > 0, "gradients: a parameter's gradient came in more than one piece");
  --buckets_[bucket].missing;
  send_full_buckets();
  world_.poll();
}

void Gradients::send_full_buckets() {
  for (; sent_ < buckets_.size() && buckets_[sent_].missing == 0; ++sent_) { world_.start_sum(buckets_[sent_].buffer); }
}

void Gradients::add(const Tensor& loss, bool last) {
  const bool alone = world_.alone();
  for (Bucket& b : buckets_) {
    b.missing = b.leaves.size();
    if (fresh_) b.buffer.zero_();
  }
  for (size_t i = 0; i < leaves_.size(); ++i) {
    if (fresh_ && !room_.empty()) sums_[i] = room_[i].zero_();
    leaves_[i].mutable_grad() = sums_[i];
  }
  fresh_ = false, last_ = last;
  loss.backward();  // into .grad: torch::autograd::grad() does not look into layers that run again (recompute.h)
  last_ = false;
  for (size_t i = 0; i < leaves_.size(); ++i) {
    if (alone) {
      sums_[i] = leaves_[i].grad();
      leaves_[i].mutable_grad() = Tensor();
    } else {
      require(leaves_[i].grad().is_same(sums_[i]), "gradients: the backward pass made a tensor of its own");
    }
  }
  if (alone || !last) return;
  for (Bucket& b : buckets_) b.missing = 0;  // what has not arrived is not used by this loss
  send_full_buckets();
}

std::vector<Tensor> Gradients::take() {
  fresh_ = true;
  if (world_.alone()) {
    std::vector<Tensor> all(leaves_.size());
    all.swap(sums_);
    for (size_t i = 0; i < all.size(); ++i) {
      if (!all[i].defined()) all[i] = at::zeros_like(leaves_[i]);
    }
    return all;
  }
  world_.wait();
  sent_ = 0;
  return sums_;
}

std::vector<int> owners_of(const std::vector<Tensor>& parameters, int processes) {
  std::vector<size_t> order(parameters.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return parameters[a].numel() > parameters[b].numel(); });
  std::vector<int> owners(parameters.size());
  std::vector<int64_t> held(processes);
  for (const size_t i : order) {
    owners[i] = static_cast<int>(std::min_element(held.begin(), held.end()) - held.begin());
    held[owners[i]] += parameters[i].numel();
  }
  return owners;
}

}  // namespace jet
