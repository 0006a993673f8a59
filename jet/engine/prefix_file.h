// A path of the prefix cache as a file: tokens, KV rows and checkpoints of a conversation, rows once (prefix_file.cc
// draws it).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jet/engine/prefix_path.h"

namespace jet {

/// What a file must have been written for: rows and states mean nothing to others.
struct PrefixOwner {
  std::string model;  // the hash of its weights and its spec
  std::string type;   // how rows and states are kept, and made: "kv bf16, state f32, exact"
};

/// Thrown for a file that is whole but not ours: another model's, another type's, or of a newer version.
class ForeignFile : public Error {
 public:
  using Error::Error;
};

/// Thrown for one that is not whole.
class DamagedFile : public Error {
 public:
  using Error::Error;
};

/// Writes it as a whole or not at all. Returns its bytes. Throws Error where that fails.
int64_t write_prefix_file(const std::string& file, const PrefixPath& path, const PrefixOwner& owner);
/// What it would take.
int64_t prefix_file_bytes(const PrefixPath& path);

/// A file, opened: its head is read and checked, the rest where it is asked for. Every damage throws DamagedFile with
/// the file's name; nothing is allocated beyond what the file really holds.
class PrefixFile {
 public:
  /// `like`: a state of the engine that is to go on from it.
  PrefixFile(const std::string& path, const PrefixOwner& owner, std::shared_ptr<const SequenceState> like);
  ~PrefixFile();
  PrefixFile(const PrefixFile&) = delete;
  PrefixFile& operator=(const PrefixFile&) = delete;

  struct Run {
    int64_t end = 0;  // tokens up to there
    bool has_state = false, is_mark = false;
    uint64_t rows_hash = 0, state_hash = 0;
    int64_t rows_at = 0, rows_bytes = 0, state_at = 0, state_bytes = 0;  // in the file
  };
  const std::vector<int32_t>& ids() const { return ids_; }
  const std::vector<Run>& runs() const { return runs_; }
  int64_t bytes() const { return bytes_; }
  /// In memory, of what read() gives.
  int64_t bytes_of(size_t last, int64_t from) const;

  /// The tokens from `from` on, or from where its run begins, to the end of run `last`, which has a checkpoint.
  PrefixRun read(size_t last, int64_t from) const;
  std::shared_ptr<const SequenceState> read_state(size_t run) const;

 private:
  std::vector<std::byte> section(int64_t at, int64_t bytes, std::optional<uint64_t> hash) const;
  void read_head(const PrefixOwner& owner);
  void lay_out();
  int64_t begin_of(size_t last, int64_t from) const;

  std::string path_;
  std::shared_ptr<const SequenceState> like_;
  int fd_ = -1;
  int64_t bytes_ = 0;
  std::vector<int32_t> ids_;
  std::vector<Run> runs_;
};

}  // namespace jet
