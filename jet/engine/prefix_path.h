// A way through the prefix cache, from the beginning of a text on: runs of tokens, the KV rows of each, and where one
// was taken the checkpoint after it.
//
//   [64 tokens] -- [64] -- [23: end of the prompt] -- [120: end of the reply]
//      rows         rows     rows, checkpoint           rows, checkpoint
//
// Rows and checkpoints are shared and never change, so a path is a snapshot that costs nothing to take, and any thread
// may read it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "jet/base/rng.h"
#include "jet/engine/sequence_state.h"

namespace jet {

struct PrefixRun {
  std::vector<int32_t> ids{};
  std::shared_ptr<const SequenceState> rows{};   // SequenceState::run() of ids
  std::shared_ptr<const SequenceState> state{};  // SequenceState::checkpoint() after them, or null
  bool is_mark = false;                          // the checkpoint is where a message or a reply begins or ends
};

/// The last run has a checkpoint.
struct PrefixPath {
  std::vector<PrefixRun> runs{};

  std::vector<int32_t> ids() const {
    std::vector<int32_t> all;
    for (const auto& run : runs) all.insert(all.end(), run.ids.begin(), run.ids.end());
    return all;
  }
  int64_t bytes() const {
    SharedMemory all;
    for (const auto& run : runs) {
      all.add(*run.rows);
      if (run.state) all.add(*run.state);
    }
    return all.bytes();
  }
};

/// A number for `ids` after those that `key` stands for (0: none). Where it finds something, the ids decide.
inline uint64_t prefix_key(uint64_t key, std::span<const int32_t> ids) {
  for (const int32_t id : ids) key = mix64(key + static_cast<uint32_t>(id) + 1);
  return key;
}

/// What keeps paths that the cache lets go. Called by the cache's thread, so neither waits.
class PrefixStore {
 public:
  virtual ~PrefixStore() = default;
  /// Whether the checkpoint after the ids of this key is kept, or about to be.
  virtual bool has(uint64_t key) const = 0;
  virtual void put(PrefixPath path) = 0;
};

}  // namespace jet
