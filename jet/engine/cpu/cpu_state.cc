#include "jet/engine/cpu/cpu_state.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace jet {

RowStore::RowStore(DType dtype, int64_t heads, int64_t dim, int64_t window, int64_t sinks)
    : dtype_(dtype), heads_(heads), head_bytes_(dim * static_cast<int64_t>(size_of(dtype))), window_(window),
      sinks_(sinks) {}

RowStore::RowStore(const RowStore& other)
    : dtype_(other.dtype_), heads_(other.heads_), head_bytes_(other.head_bytes_), window_(other.window_),
      sinks_(other.sinks_), total_(other.total_) {
  // A ring that has wrapped must keep its capacity, for its rows keep their places.
  const int64_t used = std::min(other.total_, other.capacity_);
  capacity_ = window_ > 0 ? other.capacity_ : used;
  if (capacity_ == 0) return;
  data_.reset(static_cast<std::byte*>(std::malloc(bytes())));
  if (!data_) throw std::bad_alloc();
  for (int64_t h = 0; h < heads_; ++h) put(h, 0, other.numbers(h, 0), other.scales(h, 0), used);
}

/// Rows of one head, without a turn of the ring.
void RowStore::put(int64_t head, int64_t index, const std::byte* numbers, const float* scales, int64_t n) {
  std::memcpy(const_cast<std::byte*>(this->numbers(head, index)), numbers, n * head_bytes_);
  if (scales) std::memcpy(all_scales() + head * capacity_ + index, scales, n * sizeof(float));
}

int RowStore::ranges(Range (&r)[kRanges]) const {
  int n = 0;
  const auto add = [&](int64_t begin, int64_t end, int64_t position) {
    if (end > begin) r[n++] = {begin, end - begin, position};
  };
  if (!is_full()) {
    add(0, total_, 0);
    return n;
  }
  const int64_t oldest = sinks_ + (total_ - sinks_) % ring();
  add(0, sinks_, 0);
  add(oldest, capacity_, whole_from());
  add(sinks_, oldest, whole_from() + capacity_ - oldest);
  return n;
}

void RowStore::reserve(int64_t n) {
  const int64_t wanted = window_ > 0 ? std::min(window_, total_ + n) : total_ + n;
  if (wanted <= capacity_) return;
  int64_t grown = std::max<int64_t>({wanted, 2 * capacity_, 16});
  if (window_ > 0) grown = std::min(grown, window_);
  // Nothing has wrapped yet: a ring grows only while it holds every row.
  RowStore larger(dtype_, heads_, head_bytes_ / static_cast<int64_t>(size_of(dtype_)), window_, sinks_);
  larger.total_ = total_;
  larger.capacity_ = grown;
  larger.data_.reset(static_cast<std::byte*>(std::malloc(larger.bytes())));
  if (!larger.data_) throw std::bad_alloc();
  const int64_t used = std::min(total_, capacity_);
  for (int64_t h = 0; h < heads_ && used > 0; ++h) larger.put(h, 0, numbers(h, 0), scales(h, 0), used);
  *this = std::move(larger);
}

void RowStore::append(const StateBlock& rows, int64_t begin, int64_t n) {
  reserve(n);
  for (int64_t i = 0; i < n;) {
    const int64_t row = total_ + i;
    if (row >= sinks_ && n - i > ring()) {  // what the rest would replace
      i = n - ring();
      continue;
    }
    const int64_t at = row < sinks_ ? row : sinks_ + (row - sinks_) % ring();
    const int64_t here = std::min(n - i, (row < sinks_ ? std::min(sinks_, capacity_) : capacity_) - at);
    for (int64_t h = 0; h < heads_; ++h) {
      const int64_t from = h * rows.count + begin + i;
      put(h, at, rows.numbers + from * head_bytes_, rows.scales ? rows.scales + from : nullptr, here);
    }
    i += here;
  }
  total_ += n;
}

void RowStore::restore(int64_t total, const StateBlock& kept) {
  reset();
  reserve(total);
  const int64_t first = std::min(sinks_, kept.count), rest = kept.count - first;
  append(kept, 0, first);
  total_ = total - rest;
  append(kept, first, rest);
}

void RowStore::append_from(const RowStore& other, int64_t begin, int64_t n) {
  reserve(n);
  for (int64_t h = 0; h < heads_; ++h) put(h, total_, other.numbers(h, begin), other.scales(h, begin), n);
  total_ += n;
}

StateCopy RowStore::copy() const {
  StateCopy all;
  all.count = kept();
  Range r[kRanges];
  const int n = ranges(r);
  for (int64_t h = 0; h < heads_; ++h) {
    for (int i = 0; i < n; ++i) {
      const std::byte* from = numbers(h, r[i].begin);
      all.numbers.insert(all.numbers.end(), from, from + r[i].count * head_bytes_);
      if (const float* s = scales(h, r[i].begin)) all.scales.insert(all.scales.end(), s, s + r[i].count);
    }
  }
  return all;
}

namespace {

RowStore make_rows(const StateLayout& layout, const StateLayout::Entry& e) {
  return RowStore(layout.kv, e.spec.shape[0], e.spec.shape[1], e.spec.window, e.spec.sinks);
}

Store make_store(const StateLayout& layout, const StateLayout::Entry& e) {
  Store s;
  if (e.spec.kind == StateSpec::rows) {
    s.rows = make_rows(layout, e);
  } else if (layout.type(e) == DType::bf16) {
    s.halves.assign(numel(e.spec.shape), bf16{});
  } else {
    s.fixed.assign(numel(e.spec.shape), 0.0f);
  }
  return s;
}

bool is_absent(const Store& s) { return s.fixed_bytes().empty() && s.rows.row_bytes() == 0; }

const CpuSequenceState& on_cpu(const SequenceState& s) { return static_cast<const CpuSequenceState&>(s); }

}  // namespace

CpuSequenceState::CpuSequenceState(std::shared_ptr<const StateLayout> l) : SequenceState(std::move(l)) {
  for (const auto& e : layout->entries) stores.push_back(make_store(*layout, e));
}

CpuSequenceState::CpuSequenceState(std::shared_ptr<const StateLayout> l, int64_t tokens)
    : SequenceState(std::move(l)), stores(layout->entries.size()) {
  length = tokens;
}

int64_t CpuSequenceState::bytes() const {
  int64_t n = 0;
  for (const Store& s : stores) n += static_cast<int64_t>(s.fixed_bytes().size()) + s.rows.bytes();
  return n;
}

void CpuSequenceState::reset() {
  length = 0;
  for (Store& s : stores) {
    std::fill(s.fixed.begin(), s.fixed.end(), 0.0f);
    std::fill(s.halves.begin(), s.halves.end(), bf16{});
    s.rows.reset();
  }
}

void CpuSequenceState::reserve(int64_t n) {
  for (Store& s : stores) {
    if (s.rows.row_bytes() > 0) s.rows.reserve(n);
  }
}

std::unique_ptr<SequenceState> CpuSequenceState::create() const { return std::make_unique<CpuSequenceState>(layout); }
std::unique_ptr<SequenceState> CpuSequenceState::create_part(int64_t tokens) const {
  return std::unique_ptr<SequenceState>(new CpuSequenceState(layout, tokens));
}
std::unique_ptr<SequenceState> CpuSequenceState::copy() const { return std::make_unique<CpuSequenceState>(*this); }

std::unique_ptr<SequenceState> CpuSequenceState::checkpoint() const {
  std::unique_ptr<CpuSequenceState> made(new CpuSequenceState(layout, length));
  for (size_t i = 0; i < stores.size(); ++i) {
    if (!layout->entries[i].grows()) made->stores[i] = stores[i];
  }
  return made;
}

void CpuSequenceState::rollback(const SequenceState& checkpoint) {
  for (size_t i = 0; i < stores.size(); ++i) {
    if (layout->entries[i].grows()) {
      stores[i].rows.reset(checkpoint.length);
    } else {
      stores[i] = on_cpu(checkpoint).stores[i];
    }
  }
  length = checkpoint.length;
}

std::unique_ptr<SequenceState> CpuSequenceState::run(int64_t begin, int64_t end) const {
  std::unique_ptr<CpuSequenceState> made(new CpuSequenceState(layout, end - begin));
  for (size_t i = 0; i < stores.size(); ++i) {
    if (!layout->entries[i].grows()) continue;
    made->stores[i].rows = make_rows(*layout, layout->entries[i]);
    made->stores[i].rows.append_from(stores[i].rows, begin, end - begin);
  }
  return made;
}

void CpuSequenceState::append(const SequenceState& run) {
  for (size_t i = 0; i < stores.size(); ++i) {
    if (layout->entries[i].grows()) stores[i].rows.append_from(on_cpu(run).stores[i].rows, 0, run.length);
  }
  length += run.length;
}

StateCopy CpuSequenceState::read(size_t entry) const {
  const Store& s = stores.at(entry);
  if (layout->entries[entry].spec.kind == StateSpec::rows) return s.rows.copy();
  const auto bytes = s.fixed_bytes();
  return {{bytes.begin(), bytes.end()}, {}, 1};
}

void CpuSequenceState::write(size_t entry, int64_t begin, const StateBlock& block) {
  Store& s = stores.at(entry);
  const bool is_rows = layout->entries[entry].spec.kind == StateSpec::rows;
  if (is_absent(s)) {  // of a part
    s = make_store(*layout, layout->entries[entry]);
    if (is_rows) s.rows.reserve(length);
  }
  if (layout->entries[entry].grows()) {
    s.rows.reset(begin);
    s.rows.append(block);
  } else if (is_rows) {
    s.rows.restore(begin + block.count, block);
  } else {
    void* to = s.halves.empty() ? static_cast<void*>(s.fixed.data()) : s.halves.data();
    std::memcpy(to, block.numbers, s.fixed_bytes().size());
  }
}

}  // namespace jet
