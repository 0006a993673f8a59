// What one sequence carries: for each state of the model, in the order of model_state(), a Store.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "jet/blocks/op_set.h"
#include "jet/tensor/dtype.h"

namespace jet {

/// Rows of KV: row i of the sequence lies at i % capacity. Full attention's capacity doubles and never wraps; a
/// window's doubles up to the window, then the newest row replaces the oldest.
class RowStore {
 public:
  RowStore() = default;
  RowStore(DType dtype, int64_t row_numbers, int64_t window);
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
  const std::byte* row(int64_t index) const { return data_.get() + index * row_bytes_; }
  int64_t row_bytes() const { return row_bytes_; }
  int64_t bytes() const { return capacity_ * row_bytes_; }
  DType dtype() const { return dtype_; }

  /// Room for n more rows; what throws for lack of memory throws here.
  void reserve(int64_t n);
  /// n rows, contiguous.
  void append(const void* rows, int64_t n);
  /// Rows [begin, begin + n) of another store that has no window.
  void append_from(const RowStore& other, int64_t begin, int64_t n) { append(other.row(begin), n); }
  void reset(int64_t total = 0) { total_ = total; }
  /// All kept rows, oldest first.
  std::vector<std::byte> copy() const;

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  DType dtype_ = DType::f32;
  int64_t row_bytes_ = 0, window_ = 0, total_ = 0, capacity_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

struct Store {
  std::vector<float> fixed;
  RowStore rows;
};

/// Where each state of a model stands, and what identifies the model. Shared by an engine and its sequences.
struct StateLayout {
  struct Entry {
    int layer = 0;
    std::string name;
    StateSpec spec;
    /// KV rows without a window: earlier rows stay where they are.
    bool grows() const { return spec.kind == StateSpec::rows && spec.window == 0; }
    std::string key() const { return "layers." + std::to_string(layer) + "." + name; }
  };
  std::vector<Entry> entries;
  DType kv = DType::bf16;
  int64_t max_length = 0;
  std::string fingerprint;
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
