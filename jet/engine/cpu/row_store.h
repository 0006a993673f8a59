// Keys, or values, of one sequence: a row a token, in blocks that other sequences and the prefix cache may hold, too.
//
//   all rows       | 256 rows | 256 rows | some, and room |               row i in block i / 256, at i % 256
//   of a window    | the first `sinks` |  ...  | 64 | 64 | 64 | some |    row i in block i / 64, at i % 64
//                                       dropped  ^ the window's oldest
//
// An append drops the blocks that the window had left before it; so until the next one the rows are there of the window
// after any of the tokens that it brought.
//
// To copy rows is to hold their blocks. Who appends writes behind what a block has; where somebody else did so before,
// the block is copied first:
//
//   A and B | a b c . . |     A appends d:  A | a b c d . |     B appends x:  A | a b c d . |   B | a b c x . |
//           the same one                    B                                 its own
//
// Of all who hold a block only one thread at a time may append. Others may read on: rows that somebody sees stay.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "jet/engine/sequence_state.h"

namespace jet {

/// scales (i8) [heads][capacity]: number = scale * stored      numbers [heads][capacity][dim]
class RowBlock {
 public:
  struct Format {
    DType dtype = DType::f32;
    int64_t heads = 0, head_bytes = 0;
    int64_t scale_bytes() const { return dtype == DType::i8 ? static_cast<int64_t>(sizeof(float)) : 0; }
    int64_t row_bytes() const { return heads * (head_bytes + scale_bytes()); }
  };
  /// Throws std::bad_alloc.
  RowBlock(const Format& format, int64_t capacity);
  const std::byte* numbers(int64_t head, int64_t at) const {
    return data_.get() + format_.heads * capacity_ * format_.scale_bytes() +
           (head * capacity_ + at) * format_.head_bytes;
  }
  /// Null unless i8.
  const float* scales(int64_t head, int64_t at) const {
    return format_.dtype == DType::i8 ? reinterpret_cast<const float*>(data_.get()) + head * capacity_ + at : nullptr;
  }
  int64_t capacity() const { return capacity_; }
  int64_t bytes() const { return capacity_ * format_.row_bytes(); }
  /// All of it, those rows too that were not written.
  StateBlock all() const { return {numbers(0, 0), scales(0, 0), capacity_}; }
  /// Rows [from, from + n) of `rows` at place `at`.
  void put(int64_t at, const StateBlock& rows, int64_t from, int64_t n);

  int64_t first = 0, end = 0;  // the rows that were written

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  Format format_;
  int64_t capacity_;
  std::unique_ptr<std::byte[], Free> data_;
};

class RowStore {
 public:
  /// Of 64, decoding at 8,000 tokens took an eighth longer. Of a small window they would be mostly rows that it left.
  static constexpr int64_t kBlockRows = 256, kWindowBlockRows = 64;

  RowStore() = default;
  /// window: rows kept, the first `sinks` among them; 0: all, of the tokens from `begin` on.
  RowStore(DType dtype, int64_t heads, int64_t dim, int64_t window, int64_t sinks, int64_t begin = 0);

  /// Kept rows one after another in memory: the number of the first, and where it lies.
  struct Range {
    int64_t row = 0, count = 0;
    size_t block = 0;
    int64_t at = 0;
  };
  /// f(Range) over the kept ones of rows [from, to), oldest first.
  template <class F>
  void for_ranges(int64_t from, int64_t to, F&& f) const;
  const RowBlock& block(size_t i) const { return *blocks_[i]; }
  const std::vector<std::shared_ptr<RowBlock>>& blocks() const { return blocks_; }

  /// The first row from which on all are kept.
  int64_t whole_from() const { return is_full() ? total_ - (window_ - sinks_) : begin_; }
  int64_t begin() const { return begin_; }
  int64_t total() const { return total_; }
  int64_t kept() const { return is_full() ? window_ : total_ - begin_; }
  int64_t row_bytes() const { return format_.row_bytes(); }
  DType dtype() const { return format_.dtype; }

  /// Room for n more rows; what throws for lack of memory throws here.
  void reserve(int64_t n);
  void append(const StateBlock& rows) { append(rows, 0, rows.count); }
  /// The rows of another store without a window; of those of the same tokens the blocks are held.
  void append(const RowStore& other);
  /// Rows [from, to) of a store without a window.
  RowStore run(int64_t from, int64_t to) const;
  /// As it was at `total` rows; of a window, not before the last append.
  RowStore before(int64_t total) const;
  /// Back to `total` rows; with a window, to none.
  void reset(int64_t total);
  /// Becomes that of `total` rows, of which `kept` are those that copy() gives; throws where there are fewer.
  void restore(int64_t total, const StateBlock& kept);
  /// All kept rows, oldest first.
  StateCopy copy() const;

 private:
  bool is_full() const { return window_ > 0 && total_ > window_; }
  /// Where those of the first `sinks_` rows lie in front of the others.
  size_t n_before() const { return sinks_ > 0 ? 1 : 0; }
  size_t block_of(int64_t row) const { return n_before() + static_cast<size_t>(row / block_rows_ - first_block_); }
  Range place_of(int64_t row) const;
  /// Rows [from, from + n) of `rows`.
  void append(const StateBlock& rows, int64_t from, int64_t n);
  void make_room(int64_t n);
  void make_room(size_t block, int64_t there, int64_t wanted, int64_t most);
  void drop_what_left();

  RowBlock::Format format_;
  int64_t window_ = 0, sinks_ = 0, begin_ = 0, total_ = 0;
  int64_t block_rows_ = kBlockRows, first_block_ = 0;  // the number of the first block, but for the sinks'
  std::vector<std::shared_ptr<RowBlock>> blocks_;
};

template <class F>
void RowStore::for_ranges(int64_t from, int64_t to, F&& f) const {
  from = std::max(from, begin_), to = std::min(to, total_);
  while (from < to) {
    if (is_full() && from >= sinks_) from = std::max(from, whole_from());
    if (from >= to) return;
    Range r = place_of(from);
    r.count = std::min(r.count, to - from);
    f(r);
    from += r.count;
  }
}

}  // namespace jet
