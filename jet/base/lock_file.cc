#include "jet/base/lock_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "jet/base/error.h"

namespace jet {

LockFile::LockFile(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  require(fd_ >= 0, "{}: cannot open: {}", path_, std::strerror(errno));
}

LockFile::~LockFile() { ::close(fd_); }

// 0, or the system's reason.
int LockFile::set(short type, uint64_t byte, int command) const {
  struct flock region {};
  region.l_type = type;
  region.l_whence = SEEK_SET;
  region.l_start = static_cast<off_t>(byte & INT64_MAX);  // offsets are signed
  region.l_len = 1;
  int result = 0;
  do result = ::fcntl(fd_, command, &region);
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

bool LockFile::works() const { return set(F_WRLCK, 0, F_OFD_GETLK) == 0; }

bool LockFile::try_lock(uint64_t byte, bool shared) {
  const int reason = set(shared ? F_RDLCK : F_WRLCK, byte, F_OFD_SETLK);
  require(reason == 0 || reason == EAGAIN || reason == EACCES, "{}: cannot lock: {}", path_, std::strerror(reason));
  return reason == 0;
}

void LockFile::lock(uint64_t byte) {
  const int reason = set(F_WRLCK, byte, F_OFD_SETLKW);
  require(reason == 0, "{}: cannot lock: {}", path_, std::strerror(reason));
}

void LockFile::unlock(uint64_t byte) {
  const int reason = set(F_UNLCK, byte, F_OFD_SETLK);
  require(reason == 0, "{}: cannot unlock: {}", path_, std::strerror(reason));
}

}  // namespace jet
