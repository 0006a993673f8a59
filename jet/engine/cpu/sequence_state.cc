#include "jet/engine/cpu/sequence_state.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace jet {

RowStore::RowStore(DType dtype, int64_t row_numbers, int64_t window)
    : dtype_(dtype), row_bytes_(row_numbers * static_cast<int64_t>(size_of(dtype))), window_(window) {}

RowStore::RowStore(const RowStore& other)
    : dtype_(other.dtype_), row_bytes_(other.row_bytes_), window_(other.window_), total_(other.total_) {
  if (other.capacity_ == 0) return;
  // A ring that has wrapped must keep its capacity, for its rows keep their places.
  const int64_t used = std::min(other.total_, other.capacity_);
  capacity_ = window_ > 0 ? other.capacity_ : used;
  if (capacity_ == 0) return;
  data_.reset(static_cast<std::byte*>(std::malloc(bytes())));
  if (!data_) throw std::bad_alloc();
  std::memcpy(data_.get(), other.data_.get(), used * row_bytes_);
}

int RowStore::ranges(Range (&r)[2]) const {
  if (total_ == 0) return 0;
  if (total_ <= capacity_) {
    r[0] = {0, total_};
    return 1;
  }
  const int64_t oldest = total_ % capacity_;
  r[0] = {oldest, capacity_ - oldest};
  r[1] = {0, oldest};
  return oldest > 0 ? 2 : 1;
}

void RowStore::reserve(int64_t n) {
  const int64_t wanted = window_ > 0 ? std::min(window_, total_ + n) : total_ + n;
  if (wanted <= capacity_) return;
  int64_t grown = std::max<int64_t>({wanted, 2 * capacity_, 16});
  if (window_ > 0) grown = std::min(grown, window_);
  std::unique_ptr<std::byte[], Free> fresh(static_cast<std::byte*>(std::malloc(grown * row_bytes_)));
  if (!fresh) throw std::bad_alloc();
  // Nothing has wrapped yet: a ring grows only while it holds every row.
  if (data_) std::memcpy(fresh.get(), data_.get(), std::min(total_, capacity_) * row_bytes_);
  data_ = std::move(fresh);
  capacity_ = grown;
}

void RowStore::append(const void* rows, int64_t n) {
  reserve(n);
  const auto* from = static_cast<const std::byte*>(rows);
  for (int64_t i = std::max<int64_t>(0, n - capacity_); i < n;) {
    const int64_t at = (total_ + i) % capacity_, count = std::min(n - i, capacity_ - at);
    std::memcpy(data_.get() + at * row_bytes_, from + i * row_bytes_, count * row_bytes_);
    i += count;
  }
  total_ += n;
}

std::vector<std::byte> RowStore::copy() const {
  std::vector<std::byte> all;
  all.reserve(kept() * row_bytes_);
  Range r[2];
  const int n = ranges(r);
  for (int i = 0; i < n; ++i) all.insert(all.end(), row(r[i].begin), row(r[i].begin) + r[i].count * row_bytes_);
  return all;
}

SequenceState::SequenceState(const StateLayout& layout) {
  for (const auto& e : layout.entries) {
    Store& s = stores.emplace_back();
    if (e.spec.kind == StateSpec::fixed) {
      s.fixed.assign(numel(e.spec.shape), 0.0f);
    } else {
      s.rows = RowStore(layout.kv, numel(e.spec.shape), e.spec.window);
    }
  }
}

void SequenceState::reset() {
  length = 0;
  for (Store& s : stores) {
    std::fill(s.fixed.begin(), s.fixed.end(), 0.0f);
    s.rows.reset();
  }
}

void SequenceState::reserve(int64_t n) {
  for (Store& s : stores) {
    if (s.rows.row_bytes() > 0) s.rows.reserve(n);
  }
}

int64_t SequenceState::bytes() const {
  int64_t n = 0;
  for (const Store& s : stores) n += static_cast<int64_t>(s.fixed.size() * sizeof(float)) + s.rows.bytes();
  return n;
}

}  // namespace jet
