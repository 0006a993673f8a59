// What runs a model: an op set with the weights, the states and the scratch memory of its machine. Engine checks what
// it is handed and keeps the books, a Backend computes; nothing above it knows which one it is. Another machine is a
// folder beside cpu/ with its op set, its SequenceState and its Backend, and a line in make_backend() of engine.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "jet/engine/engine.h"
#include "jet/engine/sequence_state.h"
#include "jet/model/checkpoint.h"

namespace jet {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual void load(Checkpoint checkpoint) = 0;
  /// Instead: Engine::random's weights.
  virtual void randomize(uint64_t seed, DType matrices) = 0;

  virtual int threads() const = 0;
  virtual int64_t weight_bytes() const = 0;
  /// Of a sample of every parameter: tells one model's weights from another's.
  virtual uint64_t weight_hash() const = 0;
  virtual CountTypes count_types() const = 0;
  virtual OpMeter& meter() = 0;
  virtual std::unique_ptr<SequenceState> create_state(std::shared_ptr<const StateLayout> layout) const = 0;
  /// One pass over the ids of all segments. Writes their states, whose length is the caller's to advance; returns the
  /// logits [rows wanted, vocab], on the host, valid until the next pass.
  virtual std::span<const float> run(std::span<const Segment> segments, std::span<const int32_t> ids,
                                     const See& see) = 0;
};

}  // namespace jet
