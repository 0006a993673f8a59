// The states that past conversations left behind: a prompt that begins like an earlier one reads only what differs.
//
// A tree. A node stands for a run of tokens after its parent's; it holds the KV rows of these tokens and, unless it was
// evicted, the checkpoint after them (recurrent states, tails, windows: what cannot be cut to a shorter length):
//
//   [256 tokens] -- [256] -- [88: end of the prompt] -- [120: end of the answer]
//                      \---- [256: edited] -- [12: end of the prompt]
//
// Rows that conversations share are held once, and a prompt goes on at the deepest node with a checkpoint whose path it
// begins with. Checkpoints are taken at multiples of the stride, one token before a prompt's end (so that the same
// prompt again takes one token), at the caller's marks (ends of messages) and wherever a caller stores a sequence.
//
// Over the budget, the checkpoint that was made or used longest ago goes first; rows go with the last checkpoint behind
// them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "jet/engine/engine.h"

namespace jet {

/// Used by the thread that runs the engine.
class PrefixCache {
 public:
  /// At most `budget` bytes. The engine must outlive the cache. Throws Error on a negative budget or a stride below 1.
  PrefixCache(Engine& engine, int64_t budget, int stride = 256);
  ~PrefixCache();

  /// A new sequence that holds the longest stored prefix of `ids` that leaves a token to run; empty where there is
  /// none. Its memory has room for `room` tokens in all.
  std::unique_ptr<Sequence> lookup(std::span<const int32_t> ids, int64_t room = 0);
  /// Remembers `sequence`, which holds exactly `ids`; what alone is over the budget is not kept.
  void store(std::span<const int32_t> ids, const Sequence& sequence);
  /// Where a prompt of `size` tokens, read up to `length`, has to pause next for store(); `size` where nowhere.
  int64_t next_stop(int64_t length, int64_t size, std::span<const int64_t> marks = {}) const;

  bool is_stop(int64_t length, int64_t size, std::span<const int64_t> marks = {}) const {
    return length > 0 && next_stop(length - 1, size, marks) == length;
  }

  struct Prefilled {
    std::unique_ptr<Sequence> sequence;
    std::span<const float> logits;  // of the last token, as Engine::prefill shows them
    int64_t tokens_run = 0;         // the others came from the cache
  };
  /// Engine::prefill with lookup() before it and store() at every stop.
  Prefilled prefill(std::span<const int32_t> ids, std::span<const int64_t> marks = {});

  int64_t bytes() const { return bytes_; }  // rows, checkpoints, ids and nodes; never more than the budget
  int64_t checkpoints() const;

 private:
  struct Node;
  Node* deepest(Node* at, std::span<const int32_t> rest, bool with_state) const;
  template <class F>
  static void walk(Node* at, const F& f);
  void evict();
  void drop(Node* node);

  Engine& engine_;
  int64_t budget_, bytes_ = 0, clock_ = 0;
  int stride_;
  std::unique_ptr<Node> root_;
};

}  // namespace jet
