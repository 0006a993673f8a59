#include "jet/train/gradients.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <numeric>

namespace jet {

using at::Tensor;

namespace {

constexpr int64_t kBucket = 1 << 20;  // values: 4 MB

}  // namespace

Gradients::Gradients(World& world, std::vector<Tensor> leaves)
    : world_(world), leaves_(std::move(leaves)), sums_(leaves_.size()) {
  if (!world_.alone()) make_buckets();
}

Gradients::~Gradients() {
  for (size_t i = 0; i < hooks_.size(); ++i) leaves_[i].remove_hook(hooks_[i]);
}

void Gradients::make_buckets() {
  bucket_of_.resize(leaves_.size());
  std::vector<int64_t> sizes;
  for (size_t i = leaves_.size(); i-- > 0;) {
    const bool full = sizes.empty() || sizes.back() + leaves_[i].numel() > kBucket;
    if (full) buckets_.emplace_back(), sizes.push_back(0);
    buckets_.back().leaves.push_back(i);
    bucket_of_[i] = buckets_.size() - 1;
    sizes.back() += leaves_[i].numel();
  }
  for (size_t b = 0; b < buckets_.size(); ++b) {
    buckets_[b].buffer = at::zeros({sizes[b]});
    int64_t at = 0;
    for (const size_t i : buckets_[b].leaves) {
      sums_[i] = buckets_[b].buffer.narrow(0, at, leaves_[i].numel()).view(leaves_[i].sizes());
      at += leaves_[i].numel();
    }
  }
  for (size_t i = 0; i < leaves_.size(); ++i) {
    hooks_.push_back(leaves_[i].register_hook([this, i](const Tensor& gradient) { arrived(i, gradient); }));
  }
}

// Called within the backward pass, once a leaf that the loss depends on.
void Gradients::arrived(size_t leaf, const Tensor& gradient) {
  sums_[leaf].add_(gradient);
  if (!last_) return;
  --buckets_[bucket_of_[leaf]].missing;
  send_full_buckets();
  world_.poll();
}

void Gradients::send_full_buckets() {
  for (; sent_ < buckets_.size() && buckets_[sent_].missing == 0; ++sent_) {
    world_.start_sum(values_of(buckets_[sent_].buffer));
  }
}

void Gradients::add(const Tensor& loss, bool last) {
  for (Bucket& b : buckets_) {
    b.missing = b.leaves.size();
    if (fresh_) b.buffer.zero_();
  }
  fresh_ = false, last_ = last;
  const auto own = torch::autograd::grad({loss}, leaves_, {}, std::nullopt, false, /*allow_unused=*/true);
  if (world_.alone()) {
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i].defined()) sums_[i] = sums_[i].defined() ? sums_[i] + own[i] : own[i];
    }
  } else if (last) {
    for (Bucket& b : buckets_) b.missing = 0;  // what has not arrived is not used by this loss
    send_full_buckets();
  }
}

std::vector<Tensor> Gradients::take() {
  if (world_.alone()) {
    std::vector<Tensor> all(leaves_.size());
    all.swap(sums_);
    for (size_t i = 0; i < all.size(); ++i) {
      if (!all[i].defined()) all[i] = at::zeros_like(leaves_[i]);
    }
    return all;
  }
  world_.wait();
  sent_ = 0, fresh_ = true;
  return sums_;
}

std::span<float> values_of(const Tensor& t) {
  require(t.is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous(),
          "many processes: a trained tensor must be contiguous fp32 on the CPU, one of {} {} is not",
          at::toString(t.scalar_type()), fmt::join(t.sizes(), " x "));
  return {t.data_ptr<float>(), static_cast<size_t>(t.numel())};
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
