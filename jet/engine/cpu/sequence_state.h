// What one sequence carries: for each state of the model, in the order of model_state(), a Store.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "jet/blocks/block.h"
#include "jet/tensor/dtype.h"

namespace jet {

/// Some rows, head by head: numbers [heads][count][dim], of i8 also scales [heads][count].
struct RowBlock {
  const std::byte* numbers = nullptr;
  const float* scales = nullptr;
  int64_t count = 0;
};

/// Rows of KV, each head's by itself: row i of the sequence lies at i % capacity. Full attention's capacity doubles and
/// never wraps; a window's doubles up to the window, then the newest row replaces the oldest.
///
///   scales (i8) [heads][capacity]: number = scale * stored      numbers [heads][capacity][dim]
class RowStore {
 public:
  RowStore() = default;
  RowStore(DType dtype, int64_t heads, int64_t dim, int64_t window);
  RowStore(const RowStore& other);
  RowStore(RowStore&&) noexcept = default;
  RowStore& operator=(RowStore&&) noexcept = default;

  struct Range {
    int64_t begin = 0, count = 0;
  };
  /// Where the kept rows lie, oldest first: at most two ranges.
  int ranges(Range (&r)[2]) const;
  int64_t total() const { return total_; }
  int64_t kept() const { return window_ > 0 && total_ > window_ ? window_ : total_; }
  const std::byte* numbers(int64_t head, int64_t index) const {
    return data_.get() + heads_ * capacity_ * scale_bytes() + (head * capacity_ + index) * head_bytes_;
  }
  /// Null unless i8.
  const float* scales(int64_t head, int64_t index) const {
    return dtype_ == DType::i8 ? all_scales() + head * capacity_ + index : nullptr;
  }
  int64_t heads() const { return heads_; }
  /// A row of all heads, scales included.
  int64_t row_bytes() const { return heads_ * (head_bytes_ + scale_bytes()); }
  int64_t bytes() const { return capacity_ * row_bytes(); }
  DType dtype() const { return dtype_; }

  /// Room for n more rows; what throws for lack of memory throws here.
  void reserve(int64_t n);
  void append(const RowBlock& rows);
  /// Rows [begin, begin + n) of another store that has no window.
  void append_from(const RowStore& other, int64_t begin, int64_t n);
  void reset(int64_t total = 0) { total_ = total; }
  /// All kept rows, oldest first, as a RowBlock holds them.
  struct Copy {
    std::vector<std::byte> numbers;
    std::vector<float> scales;
    RowBlock block(int64_t count) const { return {numbers.data(), scales.empty() ? nullptr : scales.data(), count}; }
  };
  Copy copy() const;
  /// The same as floats, row by row: [kept, heads, dim].
  std::vector<float> floats() const;

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  int64_t scale_bytes() const { return dtype_ == DType::i8 ? static_cast<int64_t>(sizeof(float)) : 0; }
  float* all_scales() const { return reinterpret_cast<float*>(data_.get()); }
  void put(int64_t head, int64_t index, const std::byte* numbers, const float* scales, int64_t n);

  DType dtype_ = DType::f32;
  int64_t heads_ = 0, head_bytes_ = 0, window_ = 0, total_ = 0, capacity_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

/// One of the three, as the state's kind and the engine's options say.
struct Store {
  std::vector<float> fixed;
  std::vector<bf16> halves;  // a recurrent state kept in bf16
  RowStore rows;
  int64_t fixed_bytes() const {
    return static_cast<int64_t>(fixed.size() * sizeof(float) + halves.size() * sizeof(bf16));
  }
};

/// Where each state of a model stands, and what identifies the model. Shared by an engine and its sequences.
struct StateLayout {
  struct Entry {
    int layer = 0;
    std::string name;
    StateSpec spec;
    /// KV rows without a window: earlier rows stay where they are.
    bool grows() const { return spec.kind == StateSpec::rows && spec.window == 0; }
    bool is_recurrent() const { return spec.kind == StateSpec::recurrent; }
    std::string key() const { return "layers." + std::to_string(layer) + "." + name; }
  };
  std::vector<Entry> entries;
  DType kv = DType::bf16, recurrent = DType::f32;
  int64_t max_length = 0;
  std::string fingerprint;

  RowStore make_rows(const Entry& e) const { return RowStore(kv, e.spec.shape[0], e.spec.shape[1], e.spec.window); }
};

struct SequenceState {
  int64_t length = 0;
  std::vector<Store> stores;

  explicit SequenceState(const StateLayout& layout);
  void reset();
  void reserve(int64_t n);
  int64_t bytes() const;
};

}  // namespace jet
