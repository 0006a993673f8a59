#include "jet/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

#include "jet/base/error.h"

namespace jet {
namespace {

int open_or_fail(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  require(fd >= 0, "{}: cannot open: {}", path, std::strerror(errno));
  return fd;
}

size_t size_of(int fd, const std::string& path) {
  struct stat info {};
  const bool regular = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (!regular) ::close(fd);
  require(regular, "{}: not a regular file", path);
  return static_cast<size_t>(info.st_size);
}

}  // namespace

bool file_exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

std::string read_file(const std::string& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_(path_ + ".tmp-" + std::to_string(::getpid())) {
  const auto parent = std::filesystem::path(path_).parent_path();
  std::error_code ec;
  if (!parent.empty()) std::filesystem::create_directories(parent, ec);
  require(!ec, "{}: cannot make the folder: {}", parent.string(), ec.message());
  fd_ = open_or_fail(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    require(n > 0, "{}: cannot write {} more bytes: {}; nothing was changed", path_, bytes, std::strerror(errno));
    p += n;
    bytes -= static_cast<size_t>(n);
  }
}

void AtomicFile::commit() {
  require(::fsync(fd_) == 0, "{}: cannot write: {}; nothing was changed", path_, std::strerror(errno));
  ::close(std::exchange(fd_, -1));
  if (::rename(temporary_.c_str(), path_.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(temporary_.c_str());
  fail("{}: cannot rename {} to it: {}", path_, temporary_, std::strerror(reason));
}

AtomicFolder::AtomicFolder(const std::string& path) : path_(path) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  namespace fs = std::filesystem;
  std::error_code ec;
  require(!file_exists(path_) || (is_folder(path_) && fs::is_empty(path_, ec)),
          "{}: exists; remove it or name another folder", path_);
  temporary_ = path_ + ".tmp-" + std::to_string(::getpid());
  fs::create_directories(temporary_, ec);
  require(!ec, "{}: cannot make the folder: {}", temporary_, ec.message());
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  std::error_code ec;
  std::filesystem::rename(temporary_, path_, ec);
  require(!ec, "{}: cannot rename {} to it: {}", path_, temporary_, ec.message());
}

void write_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void release_pages(std::span<const std::byte> part) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + part.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);  // advice: failing is fine
}

MappedFile::MappedFile(const std::string& path) {
  const int fd = open_or_fail(path, O_RDONLY | O_NONBLOCK);  // a pipe must not make it wait
  size_ = size_of(fd, path);
  if (size_ > 0) {
    void* p = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    const int reason = errno;
    ::close(fd);
    require(p != MAP_FAILED, "{}: cannot map {} bytes: {}", path, size_, std::strerror(reason));
    data_ = static_cast<const std::byte*>(p);
  } else {
    ::close(fd);
  }
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace jet
