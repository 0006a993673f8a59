// What one sequence carries, in the memory of CPU cores: for each state of the model a Store.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "jet/engine/cpu/row_store.h"

namespace jet {

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
  void for_memory(const std::function<void(const void*, int64_t)>& f) const override;
  void reset() override;
  void reserve(int64_t n) override;
  std::unique_ptr<SequenceState> create() const override;
  std::unique_ptr<SequenceState> create_part(int64_t tokens, int64_t begin) const override;
  std::unique_ptr<SequenceState> copy() const override;
  std::unique_ptr<SequenceState> checkpoint(int64_t tokens) const override;
  void rollback(const SequenceState& checkpoint) override;
  std::unique_ptr<SequenceState> run(int64_t begin, int64_t end) const override;
  void append(const SequenceState& run) override;
  StateCopy read(size_t entry) const override;
  void write(size_t entry, int64_t begin, const StateBlock& block) override;

 private:
  /// A part: `tokens` tokens from `begin` on, all stores empty.
  CpuSequenceState(std::shared_ptr<const StateLayout> l, int64_t tokens, int64_t begin);

  int64_t begin_ = 0;
};

}  // namespace jet
