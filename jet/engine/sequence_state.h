// What one sequence carries from pass to pass, in the memory of the op set that runs, and the verbs by which all that
// stands above an op set (sequences, roll-back, prefix cache, saved files) handles it.
//
//   state of a block           copy      checkpoint   rollback              run            append
//   recurrent matrix, tail     copied    copied       copied back           left out       stays
//   KV rows of a window        held      held         held again            left out       stays
//   KV rows without a window   held      left out     cut to the length     some tokens'   added
//
// Rows are held by several instead of copied (cpu/row_store.h).
//
// read() and write() bring one state at a time to the host and from there.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "jet/blocks/block.h"
#include "jet/tensor/dtype.h"

namespace jet {

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
  std::vector<Entry> entries;  // in the order of model_state()
  DType kv = DType::bf16, recurrent = DType::f32;
  int64_t max_length = 0;
  std::string fingerprint;

  /// How an entry's numbers lie.
  DType type(const Entry& e) const {
    if (e.spec.kind == StateSpec::rows) return kv;
    return e.is_recurrent() ? recurrent : DType::f32;
  }
  /// Their shape after so many tokens: rows as [heads, kept, dim].
  static Shape shape(const Entry& e, int64_t tokens) {
    if (e.spec.kind != StateSpec::rows) return e.spec.shape;
    return {e.spec.shape[0], e.spec.window > 0 ? std::min<int64_t>(tokens, e.spec.window) : tokens, e.spec.shape[1]};
  }
  /// Whether the states after each token of the last pass are there still: no pass overwrites any.
  bool only_rows() const {
    return std::all_of(entries.begin(), entries.end(), [](auto& e) { return e.spec.kind == StateSpec::rows; });
  }
  /// Whether those after any token are: checkpoints take no memory.
  bool only_grows() const {
    return std::all_of(entries.begin(), entries.end(), [](auto& e) { return e.grows(); });
  }
  /// Bytes of a sequence that has room for so many tokens.
  int64_t bytes(int64_t tokens) const;
};

/// One state in host memory, in its layout's type. Rows lie head by head, oldest first: numbers [heads][count][dim], of
/// i8 also scales [heads][count]. A fixed state is its numbers; count means nothing.
struct StateBlock {
  const std::byte* numbers = nullptr;
  const float* scales = nullptr;
  int64_t count = 0;
};

struct StateCopy {
  std::vector<std::byte> numbers;
  std::vector<float> scales;
  int64_t count = 0;
  StateBlock block() const { return {numbers.data(), scales.empty() ? nullptr : scales.data(), count}; }
};

/// The verbs take states of the same layout and op set only. What throws for lack of memory leaves the object half
/// written, except where another is made.
class SequenceState {
 public:
  const std::shared_ptr<const StateLayout> layout;
  int64_t length = 0;  // tokens seen

  explicit SequenceState(std::shared_ptr<const StateLayout> l) : layout(std::move(l)) {}
  SequenceState(const SequenceState&) = default;
  virtual ~SequenceState() = default;
  SequenceState& operator=(const SequenceState&) = delete;

  /// f(where, bytes) of each piece of memory: of rows that several hold the same one.
  virtual void for_memory(const std::function<void(const void*, int64_t)>& f) const = 0;
  int64_t bytes() const {
    int64_t all = 0;
    for_memory([&](const void*, int64_t n) { all += n; });
    return all;
  }
  virtual void reset() = 0;  // back to no tokens; memory is kept, but for windows
  /// Room for n more tokens: the pass that brings them allocates nothing for them.
  virtual void reserve(int64_t n) = 0;

  /// Another one, without tokens.
  virtual std::unique_ptr<SequenceState> create() const = 0;
  virtual std::unique_ptr<SequenceState> copy() const = 0;
  /// What later tokens overwrite or drop, as it was after `tokens` tokens: all, or where layout->only_rows() at least
  /// as many as there were before the last pass.
  virtual std::unique_ptr<SequenceState> checkpoint(int64_t tokens) const = 0;
  /// Exactly back to where checkpoint() was taken of this one, or of one that it was copied from.
  virtual void rollback(const SequenceState& checkpoint) = 0;
  /// Rows of tokens [begin, end) of the states that grow.
  virtual std::unique_ptr<SequenceState> run(int64_t begin, int64_t end) const = 0;
  /// The tokens of a run after those that are here. Fixed states and windows are as before: a rollback() to a
  /// checkpoint taken at that length mends them.
  virtual void append(const SequenceState& run) = 0;

  /// A copy of layout->entries[entry], rows that are kept only.
  virtual StateCopy read(size_t entry) const = 0;
  /// A fixed state becomes `block`; rows are cut to those of tokens [0, begin), and those of `block` follow.
  virtual void write(size_t entry, int64_t begin, const StateBlock& block) = 0;
  /// A checkpoint at, or a run of, so many tokens, yet without any state: write() gives it those that it is to have. A
  /// run that tells how many tokens are before it costs less to append after them.
  virtual std::unique_ptr<SequenceState> create_part(int64_t tokens, int64_t begin = 0) const = 0;
};

/// The memory of several states, what they share counted once.
class SharedMemory {
 public:
  void add(const SequenceState& s) {
    s.for_memory([&](const void* at, int64_t n) {
      if (holders_[at]++ == 0) bytes_ += n;
    });
  }
  void remove(const SequenceState& s) {
    s.for_memory([&](const void* at, int64_t n) {
      const auto held = holders_.find(at);
      if (--held->second > 0) return;
      holders_.erase(held);
      bytes_ -= n;
    });
  }
  int64_t bytes() const { return bytes_; }

 private:
  std::unordered_map<const void*, int64_t> holders_;
  int64_t bytes_ = 0;
};

/// One sequence's share of a pass, whose rows are those of all segments, one after another.
struct Segment {
  SequenceState* state = nullptr;
  int64_t first = 0, rows = 0;
  int64_t start = 0;   // tokens that the sequence held before
  int64_t wanted = 0;  // rows whose logits are wanted: 0, 1 (the last) or all
};

}  // namespace jet
