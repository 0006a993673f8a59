// Checkpoints of a sequence, and the way back.
//
//   state of a block           checkpoint             roll-back
//   recurrent matrix, tail     a copy                 copied back
//   KV rows of a window        its blocks, held       held again: what lies behind in the last one is copied away
//   KV rows without a window   nothing                cut to the length: later rows lie behind the earlier ones
#include "jet/engine/sequence.h"

namespace jet {

int64_t SequenceCheckpoint::length() const { return impl_ ? impl_->state->length : 0; }
int64_t SequenceCheckpoint::bytes() const { return impl_ ? impl_->state->bytes() : 0; }

SequenceCheckpoint Sequence::checkpoint() const {
  require(!impl_->broken, "no checkpoint: the sequence was left half written by a failed pass; reset it");
  SequenceCheckpoint checkpoint;
  checkpoint.impl_ =
      std::make_shared<const SequenceCheckpoint::Impl>(SequenceCheckpoint::Impl{impl_->state->checkpoint(length())});
  return checkpoint;
}

void Sequence::rollback(const SequenceCheckpoint& checkpoint) {
  require(checkpoint.impl_ != nullptr, "rollback: the checkpoint is empty");
  const SequenceState& from = *checkpoint.impl_->state;
  require(from.layout == impl_->state->layout, "rollback: the checkpoint belongs to another engine");
  require(from.length <= length(), "rollback: the checkpoint stands at token {}, the sequence holds {} only",
          from.length, length());
  // Until all is copied, running out of memory leaves the sequence half written.
  impl_->broken = true;
  impl_->state->rollback(from);
  impl_->broken = false;
}

}  // namespace jet
