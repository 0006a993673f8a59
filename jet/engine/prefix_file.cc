// A file holds one path from the beginning of a text: its rows once, however many checkpoints stand on it.
//
//      0   "jet path"                  8 bytes
//      8   u32 version                 1
//     12   u32 runs                    stretches of tokens, each with a checkpoint after it or none
//     16   i64 tokens                  of all runs
//     24   model                       40 bytes, zeros after the text: hash of spec and weights
//     64   type                        64 bytes: how rows and states are kept
//    128   for each run, 32 bytes
//             i64 end                  tokens up to there: rising, the last one's are all
//             u32 1: has a checkpoint  (the last run has)
//             u32 1: it is a mark      (a message or reply begins or ends)
//             u64 hash of its rows     XXH3
//             u64 hash of the checkpoint
//          i32 id of each token
//          u64 hash of all before      XXH3
//          rows of run 0, of run 1, ...       states with a row a token and no window, in the model's order
//          checkpoint of run 0, of run 1, ... all other states, in the model's order; windows oldest row first
//
//   a state   [scales f32 [heads][rows], of int8 only]  numbers [heads][rows][dim], or of a fixed state its numbers
//
// Ids and each part of a state are followed by zeros up to a multiple of 8 bytes. Sizes are not written: they follow
// from the model's layout and the tokens, and the file must be as long as they say. Numbers are little-endian.
#include "jet/engine/prefix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "jet/base/file.h"
#include "jet/base/hash.h"

namespace jet {
namespace {

constexpr char kMagic[8] = {'j', 'e', 't', ' ', 'p', 'a', 't', 'h'};
constexpr uint32_t kVersion = 1;

struct FileStart {
  char magic[8];
  uint32_t version, runs;
  int64_t tokens;
  char model[40], type[64];
};
static_assert(sizeof(FileStart) == 128);

struct RunEntry {
  int64_t end;
  uint32_t has_state, is_mark;
  uint64_t rows_hash, state_hash;
};
static_assert(sizeof(RunEntry) == 32);

constexpr int64_t padded(int64_t bytes) { return (bytes + 7) / 8 * 8; }

/// Calls f(entry, rows that it has, bytes of scales, bytes of numbers) for the states of a run of `tokens` tokens, or
/// of a checkpoint at that length.
template <class F>
void each_state(const StateLayout& layout, bool of_run, int64_t tokens, const F& f) {
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const auto& e = layout.entries[i];
    if (e.grows() != of_run) continue;
    const Shape shape = StateLayout::shape(e, tokens);
    const bool is_rows = e.spec.kind == StateSpec::rows;
    const int64_t scales = layout.type(e) == DType::i8 ? shape[0] * shape[1] * int64_t{sizeof(float)} : 0;
    f(i, is_rows ? shape[1] : 1, scales, numel(shape) * static_cast<int64_t>(size_of(layout.type(e))));
  }
}

int64_t section_bytes(const StateLayout& layout, bool of_run, int64_t tokens) {
  int64_t n = 0;
  each_state(layout, of_run, tokens,
             [&](size_t, int64_t, int64_t scales, int64_t numbers) { n += padded(scales) + padded(numbers); });
  return n;
}

int64_t head_bytes(int64_t runs, int64_t tokens) {
  return int64_t{sizeof(FileStart)} + runs * int64_t{sizeof(RunEntry)} + padded(tokens * int64_t{sizeof(int32_t)}) +
         int64_t{sizeof(uint64_t)};
}

/// Gives a section's bytes to `take`, piece by piece.
template <class F>
void each_piece(const SequenceState& state, bool of_run, const F& take) {
  constexpr std::byte kZeros[8]{};
  const auto piece = [&](const void* data, int64_t bytes) {
    take(data, static_cast<size_t>(bytes));
    take(kZeros, static_cast<size_t>(padded(bytes) - bytes));
  };
  each_state(*state.layout, of_run, state.length, [&](size_t i, int64_t, int64_t scales, int64_t numbers) {
    const StateCopy copy = state.read(i);
    piece(copy.scales.data(), scales);
    piece(copy.numbers.data(), numbers);
  });
}

uint64_t section_hash(const SequenceState& state, bool of_run) {
  Hasher hasher;
  each_piece(state, of_run, [&](const void* data, size_t bytes) { hasher.add(data, bytes); });
  return hasher.value();
}

template <class T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string head_of(const PrefixPath& path, const PrefixOwner& owner) {
  const auto ids = path.ids();
  FileStart start{};
  require(owner.model.size() < sizeof start.model && owner.type.size() < sizeof start.type,
          "a model '{}' and a type '{}' are too long for a file of the prefix cache", owner.model, owner.type);
  std::memcpy(start.magic, kMagic, sizeof kMagic);
  start.version = kVersion, start.runs = static_cast<uint32_t>(path.runs.size()), start.tokens = std::ssize(ids);
  std::memcpy(start.model, owner.model.data(), owner.model.size());
  std::memcpy(start.type, owner.type.data(), owner.type.size());
  std::string head;
  append(head, start);
  int64_t end = 0;
  for (const auto& run : path.runs) {
    end += std::ssize(run.ids);
    append(head, RunEntry{end, run.state != nullptr, run.is_mark, section_hash(*run.rows, true),
                          run.state ? section_hash(*run.state, false) : 0});
  }
  head.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
  head.resize(static_cast<size_t>(padded(std::ssize(head))));
  append(head, content_hash(head));
  return head;
}

template <class... Args>
void require_whole(bool ok, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) throw DamagedFile(one_line(fmt::format(text, std::forward<Args>(args)...)));
}

/// Text up to the zeros.
std::string text_of(const char* text, size_t most) { return {text, ::strnlen(text, most)}; }

}  // namespace

int64_t prefix_file_bytes(const PrefixPath& path) {
  int64_t tokens = 0, n = 0;
  for (const auto& run : path.runs) {
    tokens += std::ssize(run.ids);
    n += section_bytes(*run.rows->layout, true, std::ssize(run.ids));
    if (run.state) n += section_bytes(*run.rows->layout, false, tokens);
  }
  return head_bytes(std::ssize(path.runs), tokens) + n;
}

int64_t write_prefix_file(const std::string& file, const PrefixPath& path, const PrefixOwner& owner) {
  require(!path.runs.empty() && path.runs.back().state, "{}: a path without a checkpoint at its end", file);
  AtomicFile to(file);
  int64_t n = 0;
  const auto write = [&](const void* data, size_t bytes) {
    to.write(data, bytes);
    n += static_cast<int64_t>(bytes);
  };
  const std::string head = head_of(path, owner);
  write(head.data(), head.size());
  for (const auto& run : path.runs) each_piece(*run.rows, true, write);
  for (const auto& run : path.runs)
    if (run.state) each_piece(*run.state, false, write);
  to.commit();
  return n;
}

PrefixFile::PrefixFile(const std::string& path, const PrefixOwner& owner, std::shared_ptr<const SequenceState> like)
    : path_(path), like_(std::move(like)), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {
  require(fd_ >= 0, "{}: cannot open: {}", path, std::strerror(errno));
  try {
    struct stat info {};
    require(::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode), "{}: is not a regular file", path);
    bytes_ = info.st_size;
    read_head(owner);
    lay_out();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

PrefixFile::~PrefixFile() { ::close(fd_); }

/// Bytes of the file, which must have them, and their hash where it is given.
std::vector<std::byte> PrefixFile::section(int64_t at, int64_t bytes, std::optional<uint64_t> hash) const {
  require_whole(at >= 0 && bytes >= 0 && at <= bytes_ && bytes <= bytes_ - at, "{}: is damaged: it ends too early",
                path_);
  std::vector<std::byte> data(static_cast<size_t>(bytes));
  for (int64_t done = 0; done < bytes;) {
    const ssize_t n = ::pread(fd_, data.data() + done, static_cast<size_t>(bytes - done), at + done);
    if (n < 0 && errno == EINTR) continue;
    require_whole(n > 0, "{}: cannot read: {}", path_, n < 0 ? std::strerror(errno) : "it ends too early");
    done += n;
  }
  require_whole(!hash || content_hash(data.data(), data.size()) == *hash, "{}: is damaged: its bytes have changed",
                path_);
  return data;
}

void PrefixFile::read_head(const PrefixOwner& owner) {
  FileStart start{};
  const auto first = section(0, sizeof start, {});
  std::memcpy(&start, first.data(), sizeof start);
  require_whole(std::memcmp(start.magic, kMagic, sizeof kMagic) == 0, "{}: is damaged: is no path of a prefix cache",
                path_);
  if (start.version > kVersion) {
    throw ForeignFile(
        fmt::format("{}: has version {}, this program reads up to {}; use the program that wrote it, or "
                    "remove it",
                    path_, start.version, kVersion));
  }
  const int64_t most = bytes_ / int64_t{sizeof(int32_t)};
  require_whole(start.tokens > 0 && start.tokens <= most && start.runs > 0 && start.runs <= start.tokens,
                "{}: is damaged: {} tokens in {} runs", path_, start.tokens, start.runs);
  const int64_t size = head_bytes(start.runs, start.tokens) - int64_t{sizeof(uint64_t)};
  uint64_t hash = 0;
  std::memcpy(&hash, section(size, sizeof hash, {}).data(), sizeof hash);
  const auto head = section(0, size, hash);
  const std::string model = text_of(start.model, sizeof start.model), type = text_of(start.type, sizeof start.type);
  if (model != owner.model || type != owner.type) {
    throw ForeignFile(one_line(
        fmt::format("{}: is of model {} ({}), this one is {} ({})", path_, model, type, owner.model, owner.type)));
  }
  const std::byte* at = head.data() + sizeof start;
  for (uint32_t i = 0; i < start.runs; ++i, at += sizeof(RunEntry)) {
    RunEntry e{};
    std::memcpy(&e, at, sizeof e);
    require_whole(e.end > (i == 0 ? 0 : runs_.back().end) && e.end <= start.tokens, "{}: is damaged: run {} ends at {}",
                  path_, i, e.end);
    runs_.push_back({.end = e.end,
                     .has_state = e.has_state != 0,
                     .is_mark = e.is_mark != 0,
                     .rows_hash = e.rows_hash,
                     .state_hash = e.state_hash});
  }
  require_whole(runs_.back().end == start.tokens && runs_.back().has_state, "{}: is damaged: its end has no checkpoint",
                path_);
  ids_.resize(static_cast<size_t>(start.tokens));
  std::memcpy(ids_.data(), at, ids_.size() * sizeof(int32_t));
}

/// Where everything lies.
void PrefixFile::lay_out() {
  const StateLayout& layout = *like_->layout;
  require(std::ssize(ids_) <= layout.max_length, "{}: {} tokens do not fit the model's context of {}", path_,
          ids_.size(), layout.max_length);
  int64_t at = head_bytes(std::ssize(runs_), std::ssize(ids_)), begin = 0;
  for (Run& run : runs_) {
    run.rows_at = at, run.rows_bytes = section_bytes(layout, true, run.end - std::exchange(begin, run.end));
    at += run.rows_bytes;
  }
  for (Run& run : runs_) {
    if (!run.has_state) continue;
    run.state_at = at, run.state_bytes = section_bytes(layout, false, run.end);
    at += run.state_bytes;
  }
  require_whole(at == bytes_, "{}: is damaged: it has {} bytes instead of {}", path_, bytes_, at);
}

/// Where the run begins that holds token `from`, which is the end of run `last` at most.
int64_t PrefixFile::begin_of(size_t last, int64_t from) const {
  int64_t begin = 0;
  for (size_t i = 0; i <= last; ++i)
    if (runs_.at(i).end <= from) begin = runs_[i].end;
  return begin;
}

int64_t PrefixFile::bytes_of(size_t last, int64_t from) const {
  int64_t n = runs_.at(last).state_bytes;
  for (size_t i = 0; i <= last; ++i)
    if (runs_[i].end > from) n += runs_[i].rows_bytes;
  return n;
}

PrefixRun PrefixFile::read(size_t last, int64_t from) const {
  int64_t at = begin_of(last, from);
  const int64_t begin = at, end = runs_.at(last).end;
  PrefixRun made{.ids = {ids_.begin() + begin, ids_.begin() + end}, .is_mark = runs_[last].is_mark};
  std::shared_ptr<SequenceState> rows = like_->create_part(end - begin, begin);
  for (size_t i = 0; i <= last; ++i) {
    const Run& run = runs_[i];
    if (run.end <= begin) continue;
    const auto bytes = section(run.rows_at, run.rows_bytes, run.rows_hash);
    const std::byte* part = bytes.data();
    each_state(*like_->layout, true, run.end - at, [&](size_t entry, int64_t count, int64_t scales, int64_t numbers) {
      const auto* s = scales > 0 ? reinterpret_cast<const float*>(part) : nullptr;
      rows->write(entry, at - begin, {.numbers = part + padded(scales), .scales = s, .count = count});
      part += padded(scales) + padded(numbers);
    });
    at = run.end;
  }
  made.rows = std::move(rows);
  made.state = read_state(last);
  return made;
}

std::shared_ptr<const SequenceState> PrefixFile::read_state(size_t index) const {
  const Run& run = runs_.at(index);
  require(run.has_state, "{}: run {} has no checkpoint", path_, index);
  std::shared_ptr<SequenceState> state = like_->create_part(run.end);
  const auto bytes = section(run.state_at, run.state_bytes, run.state_hash);
  const std::byte* part = bytes.data();
  each_state(*like_->layout, false, run.end, [&](size_t entry, int64_t count, int64_t scales, int64_t numbers) {
    const auto* s = scales > 0 ? reinterpret_cast<const float*>(part) : nullptr;
    state->write(entry, run.end - count, {.numbers = part + padded(scales), .scales = s, .count = count});
    part += padded(scales) + padded(numbers);
  });
  return state;
}

}  // namespace jet
