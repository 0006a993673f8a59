// Checkpoints of a sequence, and the way back.
//
//   state of a block           checkpoint             roll-back
//   recurrent matrix, tail     a copy                 copied back
//   KV rows of a window        a copy of the ring     copied back
//   KV rows without a window   nothing                cut to the length: later rows lie behind the earlier ones
//
// A ring is copied whole. Some slack of rows in it would be cheaper to go back a few tokens and no use to go back far;
// the copy serves both, and in the models that have windows it is smaller than the weights that one pass reads by two
// orders.
#include "jet/engine/sequence.h"

namespace jet {

int64_t SequenceCheckpoint::length() const { return impl_ ? impl_->length : 0; }

int64_t SequenceCheckpoint::bytes() const {
  int64_t n = 0;
  if (!impl_) return n;
  for (const Store& s : impl_->stores) n += s.fixed_bytes() + s.rows.bytes();
  return n;
}

SequenceCheckpoint Sequence::checkpoint() const {
  require(!impl_->broken, "no checkpoint: the sequence was left half written by a failed pass; reset it");
  auto made = std::make_shared<SequenceCheckpoint::Impl>();
  made->layout = impl_->layout;
  made->length = length();
  made->stores.resize(impl_->state.stores.size());
  for (size_t i = 0; i < made->stores.size(); ++i) {
    if (impl_->layout->entries[i].grows()) continue;
    made->stores[i].fixed = impl_->state.stores[i].fixed;
    made->stores[i].halves = impl_->state.stores[i].halves;
    made->stores[i].rows = RowStore(impl_->state.stores[i].rows);
  }
  SequenceCheckpoint checkpoint;
  checkpoint.impl_ = std::move(made);
  return checkpoint;
}

void Sequence::rollback(const SequenceCheckpoint& checkpoint) {
  const SequenceCheckpoint::Impl* from = checkpoint.impl_.get();
  require(from != nullptr, "rollback: the checkpoint is empty");
  require(from->layout == impl_->layout, "rollback: the checkpoint belongs to another engine");
  require(from->length <= length(), "rollback: the checkpoint stands at token {}, the sequence holds {} only",
          from->length, length());
  // Until all is copied, running out of memory leaves the sequence half written.
  impl_->broken = true;
  for (size_t i = 0; i < from->stores.size(); ++i) {
    Store& to = impl_->state.stores[i];
    if (impl_->layout->entries[i].grows()) {
      to.rows.reset(from->length);
      continue;
    }
    to.fixed = from->stores[i].fixed;
    to.halves = from->stores[i].halves;
    to.rows = RowStore(from->stores[i].rows);
  }
  impl_->state.length = from->length;
  impl_->broken = false;
}

}  // namespace jet
