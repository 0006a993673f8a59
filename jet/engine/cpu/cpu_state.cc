#include "jet/engine/cpu/cpu_state.h"

#include <algorithm>
#include <cstring>

namespace jet {

namespace {

Store make_store(const StateLayout& layout, const StateLayout::Entry& e, int64_t begin = 0) {
  Store s;
  if (e.spec.kind == StateSpec::rows) {
    s.rows = RowStore(layout.kv, e.spec.shape[0], e.spec.shape[1], e.spec.window, e.spec.sinks, e.grows() ? begin : 0);
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

CpuSequenceState::CpuSequenceState(std::shared_ptr<const StateLayout> l, int64_t tokens, int64_t begin)
    : SequenceState(std::move(l)), stores(layout->entries.size()), begin_(begin) {
  length = tokens;
}

void CpuSequenceState::for_memory(const std::function<void(const void*, int64_t)>& f) const {
  for (const Store& s : stores) {
    const auto fixed = s.fixed_bytes();
    if (!fixed.empty()) f(fixed.data(), std::ssize(fixed));
    for (const auto& block : s.rows.blocks()) f(block.get(), block->bytes());
  }
}

void CpuSequenceState::reset() {
  length = 0;
  for (Store& s : stores) {
    std::fill(s.fixed.begin(), s.fixed.end(), 0.0f);
    std::fill(s.halves.begin(), s.halves.end(), bf16{});
    s.rows.reset(0);
  }
}

void CpuSequenceState::reserve(int64_t n) {
  for (Store& s : stores) {
    if (s.rows.row_bytes() > 0) s.rows.reserve(n);
  }
}

std::unique_ptr<SequenceState> CpuSequenceState::create() const { return std::make_unique<CpuSequenceState>(layout); }
std::unique_ptr<SequenceState> CpuSequenceState::create_part(int64_t tokens, int64_t begin) const {
  return std::unique_ptr<SequenceState>(new CpuSequenceState(layout, tokens, begin));
}
std::unique_ptr<SequenceState> CpuSequenceState::copy() const { return std::make_unique<CpuSequenceState>(*this); }

std::unique_ptr<SequenceState> CpuSequenceState::checkpoint(int64_t tokens) const {
  require(tokens == length || layout->only_rows(), "checkpoint: {} tokens of {}", tokens, length);
  std::unique_ptr<CpuSequenceState> made(new CpuSequenceState(layout, tokens, 0));
  for (size_t i = 0; i < stores.size(); ++i) {
    const auto& e = layout->entries[i];
    if (e.grows()) continue;
    if (e.spec.kind == StateSpec::rows)
      made->stores[i].rows = stores[i].rows.before(tokens);
    else
      made->stores[i] = stores[i];
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
  std::unique_ptr<CpuSequenceState> made(new CpuSequenceState(layout, end - begin, begin_ + begin));
  for (size_t i = 0; i < stores.size(); ++i)
    if (layout->entries[i].grows()) made->stores[i].rows = stores[i].rows.run(begin_ + begin, begin_ + end);
  return made;
}

void CpuSequenceState::append(const SequenceState& run) {
  for (size_t i = 0; i < stores.size(); ++i)
    if (layout->entries[i].grows()) stores[i].rows.append(on_cpu(run).stores[i].rows);
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
    s = make_store(*layout, layout->entries[entry], begin_);
    if (is_rows) s.rows.reserve(length);
  }
  if (layout->entries[entry].grows()) {
    s.rows.reset(begin_ + begin);
    s.rows.append(block);
  } else if (is_rows) {
    s.rows.restore(begin + block.count, block);
  } else {
    void* to = s.halves.empty() ? static_cast<void*>(s.fixed.data()) : s.halves.data();
    std::memcpy(to, block.numbers, s.fixed_bytes().size());
  }
}

}  // namespace jet
