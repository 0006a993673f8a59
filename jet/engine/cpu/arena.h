// Scratch memory of a pass. Buffers are counted and come back when their last tensor goes, so one layer's memory serves
// the next; a pass like the one before it allocates nothing. One thread takes and returns buffers.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace jet {

class Arena;

/// A counted handle on a block of floats, aligned to 64 bytes.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer& b);
  Buffer(Buffer&& b) noexcept : block_(std::exchange(b.block_, nullptr)) {}
  Buffer& operator=(Buffer b) noexcept {
    std::swap(block_, b.block_);
    return *this;
  }
  ~Buffer();
  float* data() const;
  explicit operator bool() const { return block_ != nullptr; }

 private:
  friend class Arena;
  struct Block;
  explicit Buffer(Block* block) : block_(block) {}
  Block* block_ = nullptr;
};

class Arena {
 public:
  /// `poison`: every buffer is handed out full of NaN, so that reading what was not written shows.
  explicit Arena(bool poison = false);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  Buffer take(int64_t floats);
  int64_t bytes() const { return bytes_; }
  int64_t allocations() const { return allocations_; }

 private:
  friend class Buffer;
  std::vector<std::unique_ptr<Buffer::Block>> blocks_;
  std::vector<Buffer::Block*> free_;
  int64_t bytes_ = 0, allocations_ = 0;
  bool poison_;
};

}  // namespace jet
