// Files: whole reads, read-only maps, and writes that are never seen half done (temporary name, fsync, rename).
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

/// Replaces `path` by `text` as a whole or not at all. Missing parent folders are made.
void write_file(const std::string& path, std::string_view text);

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
