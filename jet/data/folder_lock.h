// One process at a time works in a folder.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "jet/base/error.h"

namespace jet {

/// The system lets go of it however the process ends.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder) : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    require(fd_ >= 0, "{}: cannot open the folder: {}", folder, std::strerror(errno));
    const bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
    if (!locked) ::close(fd_);
    require(locked, "{}: another jet data command is at work there; wait for it, or end it", folder);
  }
  ~FolderLock() { ::close(fd_); }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

}  // namespace jet
