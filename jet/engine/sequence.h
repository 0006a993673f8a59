// Inside of a Sequence, for the engine's own files.
#pragma once

#include <memory>

#include "jet/engine/engine.h"
#include "jet/engine/sequence_state.h"

namespace jet {

struct Sequence::Impl {
  std::unique_ptr<SequenceState> state;
  // A pass that ended in an exception (no memory) left the states half written.
  bool broken = false;
};

struct SequenceCheckpoint::Impl {
  std::unique_ptr<const SequenceState> state;
};

}  // namespace jet
