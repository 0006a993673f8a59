#include "jet/engine/cpu/arena.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>

namespace jet {

struct Buffer::Block {
  Arena* arena = nullptr;
  float* data = nullptr;
  int64_t floats = 0;
  int references = 0;
  ~Block() { std::free(data); }
};

Buffer::Buffer(const Buffer& b) : block_(b.block_) {
  if (block_) ++block_->references;
}

Buffer::~Buffer() {
  if (block_ && --block_->references == 0) block_->arena->free_.push_back(block_);
}

float* Buffer::data() const { return block_ ? block_->data : nullptr; }

Arena::Arena(bool poison) : poison_(poison) {}
Arena::~Arena() = default;

Buffer Arena::take(int64_t floats) {
  // The smallest free block that is large enough; else the largest free one is replaced, so that there are never more
  // blocks than tensors alive at once.
  Buffer::Block *best = nullptr, *largest = nullptr;
  for (Buffer::Block* b : free_) {
    if (b->floats >= floats && (!best || b->floats < best->floats)) best = b;
    if (!largest || b->floats > largest->floats) largest = b;
  }
  if (!best) {
    if (!largest) {
      blocks_.push_back(std::make_unique<Buffer::Block>());
      free_.reserve(blocks_.size());
      largest = blocks_.back().get();
      largest->arena = this;
      free_.push_back(largest);
    }
    best = largest;
    std::free(std::exchange(best->data, nullptr));
    bytes_ -= std::exchange(best->floats, 0) * static_cast<int64_t>(sizeof(float));
    const int64_t rounded = (std::max<int64_t>(floats, 1) + 15) / 16 * 16;
    best->data = static_cast<float*>(std::aligned_alloc(64, rounded * sizeof(float)));
    if (!best->data) throw std::bad_alloc();
    best->floats = rounded;
    bytes_ += rounded * static_cast<int64_t>(sizeof(float));
    ++allocations_;
  }
  free_.erase(std::find(free_.begin(), free_.end(), best));
  best->references = 1;
  if (poison_) std::fill_n(best->data, best->floats, std::numeric_limits<float>::quiet_NaN());
  return Buffer(best);
}

}  // namespace jet
