// Inside of a Sequence, for the engine's own files.
#pragma once

#include <memory>

#include "jet/engine/cpu/sequence_state.h"
#include "jet/engine/engine.h"

namespace jet {

struct Sequence::Impl {
  std::shared_ptr<const StateLayout> layout;
  SequenceState state;
  // A pass that ended in an exception (no memory) left the states half written.
  bool broken = false;
};

struct SequenceCheckpoint::Impl {
  std::shared_ptr<const StateLayout> layout;
  int64_t length = 0;
  std::vector<Store> stores;  // as the sequence's; rows without a window stay empty
};

}  // namespace jet
