#include "jet/engine/cpu/row_store.h"

#include <cstring>
#include <new>
#include <utility>

#include "jet/base/error.h"

namespace jet {

RowBlock::RowBlock(const Format& format, int64_t capacity) : format_(format), capacity_(capacity) {
  constexpr int64_t kLine = 64;  // of the caches: a kernel's loads should not touch two
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kLine, (bytes() + kLine - 1) / kLine * kLine)));
  if (!data_) throw std::bad_alloc();
}

void RowBlock::put(int64_t at, const StateBlock& rows, int64_t from, int64_t n) {
  for (int64_t h = 0; h < format_.heads; ++h) {
    const int64_t row = h * rows.count + from;
    std::memcpy(const_cast<std::byte*>(numbers(h, at)), rows.numbers + row * format_.head_bytes,
                n * format_.head_bytes);
    if (rows.scales) std::memcpy(const_cast<float*>(scales(h, at)), rows.scales + row, n * sizeof(float));
  }
}

RowStore::RowStore(DType dtype, int64_t heads, int64_t dim, int64_t window, int64_t sinks, int64_t begin)
    : format_{dtype, heads, dim * static_cast<int64_t>(size_of(dtype))}, window_(window), sinks_(sinks), begin_(begin),
      total_(begin), block_rows_(window > 0 && window < 2 * kBlockRows ? kWindowBlockRows : kBlockRows),
      first_block_(begin / block_rows_) {}

/// Where a row lies, and how many may lie behind it in its block.
RowStore::Range RowStore::place_of(int64_t row) const {
  if (row < sinks_) return {row, sinks_ - row, 0, row};
  const int64_t at = row % block_rows_;
  return {row, block_rows_ - at, block_of(row), at};
}

void RowStore::reserve(int64_t n) { make_room(window_ > 0 ? std::min(n, window_) : n); }

void RowStore::make_room(int64_t n) {
  if (n == 0) return;
  if (total_ < sinks_ || blocks_.size() < n_before())
    make_room(0, std::min(total_, sinks_), std::min(total_ + n, sinks_), sinks_);
  const int64_t from = std::max(total_, sinks_), end = total_ + n;
  if (end <= sinks_) return;
  for (int64_t page = from / block_rows_ * block_rows_; page < end; page += block_rows_) {
    const int64_t there = total_ > sinks_ ? std::max<int64_t>(0, total_ - page) : 0;
    make_room(block_of(page), there, std::min(block_rows_, end - page), block_rows_);
  }
}

/// The block, of which rows [0, there) are seen, is ours to write behind them and holds `wanted`; it may be the next.
void RowStore::make_room(size_t block, int64_t there, int64_t wanted, int64_t most) {
  RowBlock* old = block < blocks_.size() ? blocks_[block].get() : nullptr;
  const bool is_ours = old && (blocks_[block].use_count() == 1 || old->end == there);
  if (is_ours && old->capacity() >= wanted) return;
  const int64_t grown = old && old->capacity() < wanted ? 2 * old->capacity() : 16;
  auto fresh = std::make_shared<RowBlock>(format_, std::min(most, std::max(wanted, grown)));
  fresh->first = old && there > 0 ? old->first : there;
  fresh->end = there;
  if (old && there > fresh->first) fresh->put(fresh->first, old->all(), fresh->first, there - fresh->first);
  if (old)
    blocks_[block] = std::move(fresh);
  else
    blocks_.push_back(std::move(fresh));
}

void RowStore::drop_what_left() {
  const int64_t oldest = whole_from() / block_rows_;
  if (!is_full() || oldest <= first_block_) return;
  const auto from = blocks_.begin() + static_cast<int64_t>(n_before());
  blocks_.erase(from, from + std::min(oldest - first_block_, blocks_.end() - from));
  first_block_ = oldest;
}

void RowStore::append(const StateBlock& rows, int64_t from, int64_t n) {
  drop_what_left();
  make_room(n);
  for (int64_t i = 0; i < n;) {
    const Range r = place_of(total_ + i);
    const int64_t here = std::min(n - i, r.count);
    blocks_[r.block]->put(r.at, rows, from + i, here);
    blocks_[r.block]->end = r.at + here;
    i += here;
  }
  total_ += n;
}

void RowStore::append(const RowStore& other) {
  const int64_t at = total_ % kBlockRows;
  const auto copy_rows = [&](int64_t to) {
    other.for_ranges(other.begin_, to, [&](const Range& r) { append(other.block(r.block).all(), r.at, r.count); });
  };
  if (other.begin_ != total_) return copy_rows(other.total_);
  // Where the first block lacks the rows before, those that it has go into the last one here.
  const bool lacks = other.kept() > 0 && other.block(0).first > std::max<int64_t>(0, begin_ - (total_ - at)) && at > 0;
  if (lacks) copy_rows(std::min(other.total_, total_ - at + kBlockRows));
  if (total_ == other.total_) return;
  blocks_.resize(block_of(total_));
  blocks_.insert(blocks_.end(), other.blocks_.begin() + (lacks ? 1 : 0), other.blocks_.end());
  total_ = other.total_;
}

RowStore RowStore::run(int64_t from, int64_t to) const {
  RowStore made;
  made.format_ = format_;
  made.begin_ = from, made.total_ = to, made.first_block_ = from / kBlockRows;
  if (from < to) made.blocks_.assign(blocks_.begin() + block_of(from), blocks_.begin() + block_of(to - 1) + 1);
  return made;
}

RowStore RowStore::before(int64_t total) const {
  RowStore made = *this;
  made.total_ = total;
  require(total <= total_ && made.whole_from() / block_rows_ >= first_block_,
          "rows: {} tokens of {} are not kept whole", total, total_);
  made.blocks_.resize(total > sinks_ ? block_of(total - 1) + 1 : std::min(n_before(), blocks_.size()));
  made.drop_what_left();
  return made;
}

void RowStore::reset(int64_t total) {
  total_ = total;
  if (window_ > 0) {
    blocks_.clear();
    first_block_ = 0;
  }
  // Room is kept, but what others hold would be copied anyway.
  while (blocks_.size() > block_of(total + kBlockRows - 1) && blocks_.back().use_count() > 1) blocks_.pop_back();
}

void RowStore::restore(int64_t total, const StateBlock& kept) {
  require(kept.count >= std::min(total, window_), "rows: {} of a window of {}, after {} tokens", kept.count, window_,
          total);
  reset(0);
  const int64_t first = std::min(sinks_, kept.count), rest = kept.count - first;
  append(kept, 0, first);
  total_ = total - rest;
  first_block_ = total_ / block_rows_;
  append(kept, first, rest);
}

StateCopy RowStore::copy() const {
  StateCopy all;
  all.count = kept();
  for (int64_t h = 0; h < format_.heads; ++h) {
    for_ranges(begin_, total_, [&](const Range& r) {
      const std::byte* from = block(r.block).numbers(h, r.at);
      all.numbers.insert(all.numbers.end(), from, from + r.count * format_.head_bytes);
      if (const float* s = block(r.block).scales(h, r.at)) all.scales.insert(all.scales.end(), s, s + r.count);
    });
  }
  return all;
}

}  // namespace jet
