// What the prefix cache lets go, in a folder, so that it outlives eviction and restarts.
//
//   engine's thread   put(path) --> | queue | --> writer: DIR/<hash of the tokens>.path (prefix_file.h), written under
//                                                 another name, synced, renamed
//   client's thread   find(ids), fetch(ids) <-- DIR
//
// A file that goes on where another ends takes its place, and takes over its marks. Over the budget, the files
// used longest ago go. Another model's files are left alone until then; damaged ones are removed, each with a line. One
// process at a time uses a folder (DIR/lock); what a killed one left half written is removed by the next.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "jet/base/lock_file.h"
#include "jet/engine/prefix_file.h"

namespace jet {

struct PrefixFolderOptions {
  std::string path;
  int64_t bytes = int64_t{8} << 30;          // of its files
  int64_t most_queued = int64_t{256} << 20;  // bytes that wait to be written; more is let go
  PrefixOwner owner{};
  std::function<void(const std::string&)> tell{};  // a line for who runs this; any thread calls it
};

struct PrefixFolderStats {
  int64_t bytes = 0, files = 0;
  int64_t waiting = 0;                        // paths that are to be written
  int64_t read = 0, written = 0, let_go = 0;  // paths, since the start
};

class PrefixFolder : public PrefixStore {
 public:
  /// Makes the folder, takes it and looks at its files. Throws Error where another process has it, or it cannot be
  /// written. `like`: a state of the engine.
  PrefixFolder(PrefixFolderOptions options, std::shared_ptr<const SequenceState> like);
  /// Writes what waits.
  ~PrefixFolder() override;

  bool has(uint64_t key) const override;
  void put(PrefixPath path) override;
  /// From now on put() takes all, however much waits: the end has come, and nothing is stalled by it.
  void take_all();
  /// Waits until all that was put is written.
  void wait();

  /// The longest beginning of `ids` that leaves a token to run and has a checkpoint here, in tokens.
  int64_t find(std::span<const int32_t> ids) const;
  struct Fetched {
    std::vector<int32_t> ids{};  // up to the checkpoint
    PrefixRun run{};             // the last of them
  };
  /// That beginning, the tokens from `from` on or some more, where it takes at most `most_bytes`.
  std::optional<Fetched> fetch(std::span<const int32_t> ids, int64_t from, int64_t most_bytes);
  /// Removes the files that hold the checkpoint after `ids`, and what waits to become one. Waits for one that is being
  /// written.
  void remove(std::span<const int32_t> ids);
  PrefixFolderStats stats() const;

 private:
  struct Checkpoint {
    uint64_t key = 0;
    size_t run = 0;
    int64_t tokens = 0;
    bool is_mark = false;
  };
  struct File {
    int64_t bytes = 0, used = 0;
    std::vector<Checkpoint> checkpoints{};
  };
  struct Place : Checkpoint {
    std::string file;
  };
  struct Queued {
    PrefixPath path;
    std::vector<uint64_t> keys{};  // of its checkpoints
    int64_t bytes = 0;
    bool removed = false;  // while it is written
  };
  std::string path_of(const std::string& name) const { return options_.path + "/" + name; }
  void tell(const std::string& line) const;
  void scan();
  void add(const std::string& name, int64_t bytes, std::vector<Checkpoint> checkpoints);
  void forget(const std::string& name);
  std::optional<Place> place_of(std::span<const int32_t> ids) const;
  void remove_files(const std::vector<std::string>& names);
  void damaged(const std::string& name, const std::string& why);
  void write_loop();
  void write(Queued& queued);
  void leave_queue(std::list<Queued>::iterator queued);
  std::vector<std::string> take_over(PrefixPath& path) const;
  std::vector<std::string> oldest(int64_t most_bytes, const std::vector<std::string>& spared) const;

  PrefixFolderOptions options_;
  std::shared_ptr<const SequenceState> like_;
  LockFile lock_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable came_, written_;
  std::map<std::string, File> files_;                      // by name
  std::unordered_multimap<uint64_t, std::string> places_;  // key of a checkpoint: the files that have it
  std::list<Queued> queue_;                                // the first is at work
  std::unordered_multiset<uint64_t> waiting_;              // keys of checkpoints in the queue
  int64_t queued_bytes_ = 0, clock_ = 0;
  bool takes_all_ = false, stops_ = false;
  PrefixFolderStats stats_;
  bool writing_failed_ = false;  // and was told

  std::thread writer_;
};

}  // namespace jet
