// The states that past conversations left behind: a prompt that begins like an earlier one reads only what differs.
//
// A tree. A node stands for a run of tokens after its parent's; it holds the KV rows of these tokens and, unless it was
// evicted, the checkpoint after them (recurrent states, tails, windows: what cannot be cut to a shorter length):
//
//   [256 tokens] -- [256] -- [88: end of the prompt] -- [120: end of the answer]
//                      \---- [256: edited] -- [12: end of the prompt]
//
// Rows that conversations share are held once, and a prompt goes on at the deepest node with a checkpoint whose path it
// begins with. Checkpoints are taken at multiples of the stride and at marks: near a prompt's end (so that the same
// prompt again takes few tokens), where the caller says (beginnings of messages) and wherever a caller stores a
// sequence. A recurrent state is there only between passes, so a prompt is read in as many passes as it has stops, and
// those too near to another one are left out:
//
//   read before | 5 | user's message, 60 | 3   the reply: the mark after the 5 is passed, the one before the 3 is
//               ^mark                    ^mark a stop, and one token before the end would be the next
//
// Rows of keys and values, with a window or without, are there for all tokens of a pass, and a model that has no other
// states reads past all stops.
//
// Over the budget, checkpoints at mere multiples of the stride go first, then marks; of each, the one that was made or
// used longest ago. Rows go with the last checkpoint behind them. Before a mark goes, a PrefixStore is offered the path
// that it is on.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "jet/engine/engine.h"
#include "jet/engine/prefix_path.h"

namespace jet {

/// Used by the thread that runs the engine.
class PrefixCache {
 public:
  /// At most `budget` bytes. `stride`: tokens between checkpoints; 0: 64, or 256 where they take memory. The engine
  /// must outlive the cache. Throws Error where one is negative.
  PrefixCache(Engine& engine, int64_t budget, int stride = 0);
  ~PrefixCache();

  /// A new sequence that holds the longest stored prefix of `ids` that leaves a token to run; empty where there is
  /// none. Its memory has room for `room` tokens in all.
  std::unique_ptr<Sequence> lookup(std::span<const int32_t> ids, int64_t room = 0);
  /// Remembers the first ids.size() tokens of `sequence`, which are `ids`: all of them, or where the model's states are
  /// rows alone at least as many as there were before the last pass. What alone is over the budget is not kept.
  void store(std::span<const int32_t> ids, const Sequence& sequence, bool is_mark = true);

  /// The reading of a prompt from where lookup() left it.
  class Reading {
   public:
    Reading() = default;
    /// Marks are where checkpoints are worth more than at others: numbers of tokens.
    Reading(PrefixCache& cache, std::span<const int32_t> ids, int64_t from, std::span<const int64_t> marks = {});
    /// Where a pass from token `at` on has to end at the latest.
    int64_t pass_end(int64_t at) const;
    /// After a pass: stores what is worth it, short of the whole prompt.
    void store_passed(const Sequence& sequence);

   private:
    struct Stop {
      int64_t at = 0;
      bool is_mark = false;
    };
    PrefixCache* cache_ = nullptr;
    std::span<const int32_t> ids_{};
    std::vector<Stop> stops_{};  // the next one last
  };

  struct Prefilled {
    std::unique_ptr<Sequence> sequence;
    std::span<const float> logits;  // of the last token, as Engine::prefill shows them
    int64_t tokens_run = 0;         // the others came from the cache
  };
  /// Engine::prefill with lookup() before it, as a Reading.
  Prefilled prefill(std::span<const int32_t> ids, std::span<const int64_t> marks = {});

  /// Of rows, checkpoints, ids and nodes; never more than the budget.
  int64_t bytes() const { return memory_.bytes() + node_bytes_; }
  int64_t checkpoints() const { return checkpoints_; }

  /// From now on `store` is offered what goes. It must outlive the last call.
  void spill_to(PrefixStore* store) { spill_ = store; }
  /// Offers it all that is here, the latest used last.
  void spill_all();
  /// How many of the tokens that `ids` begins with are here: with a checkpoint that leaves a token to run; in rows.
  struct Held {
    int64_t state = 0, rows = 0;
  };
  Held held(std::span<const int32_t> ids) const;
  /// Takes in a run that was kept elsewhere: the last ones of `ids`, whose others' rows are here. Returns whether its
  /// checkpoint is here now: not where those rows are not, nor where it is over the budget.
  bool insert(std::span<const int32_t> ids, const PrefixRun& run);
  /// The path of the conversation that begins with `ids` and was used last; where none goes so far, of the longest
  /// beginning of `ids` that has a checkpoint. Without runs where there is none.
  PrefixPath path_of(std::span<const int32_t> ids) const;
  /// Drops the end of that path that no other conversation shares; the tokens dropped.
  int64_t forget(std::span<const int32_t> ids);
  /// A state of the engine's without tokens, to make others with.
  const std::shared_ptr<const SequenceState>& empty_state() const { return empty_; }

 private:
  struct Node;
  Node* deepest(Node* at, std::span<const int32_t> rest, bool with_state) const;
  /// The child of `at` whose run has the most tokens in common with the beginning of `rest`, and how many.
  static std::pair<Node*, int64_t> nearest(const Node* at, std::span<const int32_t> rest);
  Node* reach(std::span<const int32_t> ids);
  void split(Node* node, int64_t tokens);
  template <class F>
  static void walk(Node* at, const F& f);
  Node* newest_leaf(Node* at) const;
  Node* conversation(std::span<const int32_t> ids) const;
  PrefixPath path_to(const Node* node) const;
  bool put(Node* at, PrefixRun run);
  int64_t bytes_alone(const Node* at, const PrefixRun& run) const;
  void count(const Node& node);
  void uncount(const Node& node);
  void evict(const Node* spared);
  void spill(Node* node);
  void drop(Node* node);

  Engine& engine_;
  std::shared_ptr<const SequenceState> empty_;
  PrefixStore* spill_ = nullptr;
  SharedMemory memory_;
  int64_t budget_, node_bytes_ = 0, checkpoints_ = 0, clock_ = 0;
  int stride_;
  std::unique_ptr<Node> root_;
};

}  // namespace jet
