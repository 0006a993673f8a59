// What one sequence carries, in the memory of CPU cores: for each state of the model a Store.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "jet/engine/sequence_state.h"

namespace jet {

/// Rows of KV, each head's by itself, row i of the sequence at place i. Full attention's capacity doubles and never
/// wraps; a window's doubles up to the rows it keeps, then the newest row replaces the oldest one that is no sink:
///
///   | the first `sinks` rows | a ring of the last others, row i at sinks + (i - sinks) % (capacity - sinks) |
///
///   scales (i8) [heads][capacity]: number = scale * stored      numbers [heads][capacity][dim]
class RowStore {
 public:
  RowStore() = default;
  /// window: rows kept, the first `sinks` among them; 0: all.
  RowStore(DType dtype, int64_t heads, int64_t dim, int64_t window, int64_t sinks);
  RowStore(const RowStore& other);
  RowStore(RowStore&&) noexcept = default;
  RowStore& operator=(RowStore&&) noexcept = default;
  RowStore& operator=(const RowStore& other) { return *this = RowStore(other); }

  struct Range {
    int64_t begin = 0, count = 0, position = 0;  // place and number of the first row
  };
  static constexpr int kRanges = 3;
  /// Where the kept rows lie, oldest first.
  int ranges(Range (&r)[kRanges]) const;
  /// The first row from which on all are kept.
  int64_t whole_from() const { return is_full() ? total_ - ring() : 0; }
  int64_t total() const { return total_; }
  int64_t kept() const { return is_full() ? window_ : total_; }
  const std::byte* numbers(int64_t head, int64_t index) const {
    return data_.get() + heads_ * capacity_ * scale_bytes() + (head * capacity_ + index) * head_bytes_;
  }
  /// Null unless i8.
  const float* scales(int64_t head, int64_t index) const {
    return dtype_ == DType::i8 ? all_scales() + head * capacity_ + index : nullptr;
  }
  /// A row of all heads, scales included.
  int64_t row_bytes() const { return heads_ * (head_bytes_ + scale_bytes()); }
  int64_t bytes() const { return capacity_ * row_bytes(); }
  DType dtype() const { return dtype_; }

  /// Room for n more rows; what throws for lack of memory throws here.
  void reserve(int64_t n);
  void append(const StateBlock& rows) { append(rows, 0, rows.count); }
  /// Rows [begin, begin + n) of another store that has no window.
  void append_from(const RowStore& other, int64_t begin, int64_t n);
  void reset(int64_t total = 0) { total_ = total; }
  /// Becomes that of `total` rows, of which `kept` are those that copy() gives.
  void restore(int64_t total, const StateBlock& kept);
  /// All kept rows, oldest first.
  StateCopy copy() const;

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  int64_t scale_bytes() const { return dtype_ == DType::i8 ? static_cast<int64_t>(sizeof(float)) : 0; }
  float* all_scales() const { return reinterpret_cast<float*>(data_.get()); }
  bool is_full() const { return window_ > 0 && total_ > window_; }
  int64_t ring() const { return capacity_ - sinks_; }
  /// Rows [begin, begin + n) of a block.
  void append(const StateBlock& rows, int64_t begin, int64_t n);
  void put(int64_t head, int64_t index, const std::byte* numbers, const float* scales, int64_t n);

  DType dtype_ = DType::f32;
  int64_t heads_ = 0, head_bytes_ = 0, window_ = 0, sinks_ = 0, total_ = 0, capacity_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

/// One of the three, as the state's kind and the engine's options say.
struct Store {
  std::vector<float> fixed;
  std::vector<bf16> halves;  // a recurrent state kept in bf16
  RowStore rows;
  std::span<const std::byte> fixed_bytes() const {
    return halves.empty() ? std::as_bytes(std::span(fixed)) : std::as_bytes(std::span(halves));
  }
};

class CpuSequenceState final : public SequenceState {
 public:
  std::vector<Store> stores;  // in the layout's order; of a checkpoint or a run, those that it lacks are empty

  explicit CpuSequenceState(std::shared_ptr<const StateLayout> l);
  int64_t bytes() const override;
  void reset() override;
  void reserve(int64_t n) override;
  std::unique_ptr<SequenceState> create() const override;
  std::unique_ptr<SequenceState> create_part(int64_t tokens) const override;
  std::unique_ptr<SequenceState> copy() const override;
  std::unique_ptr<SequenceState> checkpoint() const override;
  void rollback(const SequenceState& checkpoint) override;
  std::unique_ptr<SequenceState> run(int64_t begin, int64_t end) const override;
  void append(const SequenceState& run) override;
  StateCopy read(size_t entry) const override;
  void write(size_t entry, int64_t begin, const StateBlock& block) override;

 private:
  /// A part: `tokens` tokens, all stores empty.
  CpuSequenceState(std::shared_ptr<const StateLayout> l, int64_t tokens);
};

}  // namespace jet
