// Files: whole reads, read-only maps, and writes that are never seen half done:
//
//   NAME.tmp-<pid>   written, synced   --rename-->   NAME      a kill before the rename leaves NAME as it was
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace jet {

/// False, too, where the system does not tell (no permission, a name that is too long).
bool file_exists(const std::string& path);
bool is_folder(const std::string& path);
/// Whether a name begins with a dot: who walks a folder passes it over. Archives made on a Mac leave ._NAME beside
/// every NAME.
inline bool is_hidden(std::string_view name) { return name.starts_with('.'); }
std::string read_file(const std::string& path);

/// A file being written under `path`.tmp-<pid>; it appears under its own name only when commit() returns.
/// Every short write throws Error naming the path, the bytes wanted and the system's reason (a full disk).
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
};

/// A folder being made under `path`.tmp-<pid>: it appears under its own name, as a whole, when commit() returns, and is
/// removed with its files where that is never called. Throws where `path` exists, unless it is an empty folder.
class AtomicFolder {
 public:
  explicit AtomicFolder(const std::string& path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  /// Where the folder's files are written meanwhile.
  const std::string& path() const { return temporary_; }
  std::string file(const std::string& name) const { return temporary_ + "/" + name; }
  void commit();

 private:
  std::string path_, temporary_;
};

/// Replaces `path` by `text` as a whole or not at all. Missing parent folders are made.
void write_file(const std::string& path, std::string_view text);

/// Takes the whole pages of a part of a mapped file off the process's memory; they are read again where they are
/// touched again. For walks over files that are larger than memory.
void release_pages(std::span<const std::byte> part);

/// A read-only memory map of a whole file.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace jet
