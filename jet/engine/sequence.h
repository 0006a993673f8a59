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

}  // namespace jet
