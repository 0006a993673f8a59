#include "jet/engine/cpu/row_store.h"

#include <cstring>
#include <new>
#include <utility>

namespace jet {

RowBlock::RowBlock(const Format& format, int64_t capacity) : format_(format), capacity_(capacity) {
  data_.reset(static_cast<std::byte*>(std::malloc(bytes())));
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
      total_(begin) {}

/// Where a row lies, and how many may lie behind it until the block or the ring turns.
RowStore::Range RowStore::place_of(int64_t row) const {
  if (window_ == 0) {
    const int64_t at = row % kBlockRows;
    return {row, kBlockRows - at, block_of(row), at};
  }
  if (row < sinks_) return {row, std::min(sinks_, capacity()) - row, 0, row};
  const int64_t at = sinks_ + (row - sinks_) % ring();
  return {row, capacity() - at, 0, at};
}

int64_t RowStore::bytes() const {
  int64_t n = 0;
  for (const auto& b : blocks_) n += b->bytes();
  const int64_t before = begin_ % kBlockRows;
  if (before == 0 || blocks_.empty()) return n;
  return n - blocks_.front()->bytes() + std::min(kBlockRows - before, total_ - begin_) * row_bytes();
}

void RowStore::reserve(int64_t n) {
  if (window_ > 0) return reserve_window(n);
  const int64_t end = total_ + n;
  for (int64_t page = total_ / kBlockRows * kBlockRows; page < end; page += kBlockRows) {
    const size_t i = block_of(page);
    const int64_t there = std::max<int64_t>(0, total_ - page), wanted = std::min(kBlockRows, end - page);
    RowBlock* old = i < blocks_.size() ? blocks_[i].get() : nullptr;
    const bool is_ours = old && (blocks_[i].use_count() == 1 || old->end == there);
    if (is_ours && old->capacity() >= wanted) continue;
    const int64_t grown = old && old->capacity() < wanted ? 2 * old->capacity() : 16;
    auto fresh = std::make_shared<RowBlock>(format_, std::min(kBlockRows, std::max(wanted, grown)));
    fresh->first = old && there > 0 ? old->first : std::max<int64_t>(0, begin_ - page);
    fresh->end = there;
    if (old && there > fresh->first) fresh->put(fresh->first, old->all(), fresh->first, there - fresh->first);
    if (old)
      blocks_[i] = std::move(fresh);
    else
      blocks_.push_back(std::move(fresh));
  }
}

/// The ring's block is copied where others hold it, and doubled up to the window: until then nothing has wrapped.
void RowStore::reserve_window(int64_t n) {
  const int64_t wanted = std::min(window_, total_ + n), has = capacity();
  if (n == 0 || (wanted <= has && blocks_[0].use_count() == 1)) return;
  const int64_t grown = wanted <= has ? has : std::min(window_, std::max<int64_t>({wanted, 2 * has, 16}));
  auto larger = std::make_shared<RowBlock>(format_, grown);
  if (const int64_t used = std::min(total_, has); used > 0) larger->put(0, blocks_[0]->all(), 0, used);
  blocks_.assign(1, std::move(larger));
}

void RowStore::append(const StateBlock& rows, int64_t from, int64_t n) {
  reserve(n);
  for (int64_t i = 0; i < n;) {
    const int64_t row = total_ + i;
    if (window_ > 0 && row >= sinks_ && n - i > ring()) {  // what the rest would replace
      i = n - ring();
      continue;
    }
    const Range r = place_of(row);
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
  made.begin_ = from, made.total_ = to;
  if (from < to) made.blocks_.assign(blocks_.begin() + block_of(from), blocks_.begin() + block_of(to - 1) + 1);
  return made;
}

void RowStore::reset(int64_t total) {
  total_ = total;
  // Room is kept, but what others hold would be copied anyway.
  while (window_ == 0 && blocks_.size() > block_of(total + kBlockRows - 1) && blocks_.back().use_count() > 1)
    blocks_.pop_back();
}

void RowStore::restore(int64_t total, const StateBlock& kept) {
  reset(0);
  reserve(total);
  const int64_t first = std::min(sinks_, kept.count), rest = kept.count - first;
  append(kept, 0, first);
  total_ = total - rest;
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
