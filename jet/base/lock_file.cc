#include "jet/base/lock_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "jet/base/error.h"

namespace jet {

namespace {

struct flock lock_of(short type, uint64_t byte) {
  struct flock region {};
  region.l_type = type;
  region.l_whence = SEEK_SET;
  region.l_start = static_cast<off_t>(byte & INT64_MAX);  // offsets are signed
  region.l_len = 1;
  return region;
}

// 0, or the system's reason; `found`: of a question, the type of a lock that is in the way.
int ask(int fd, int command, struct flock region, short* found = nullptr) {
  int result = 0;
  do result = ::fcntl(fd, command, &region);
  while (result != 0 && errno == EINTR);
  if (found) *found = region.l_type;
  return result == 0 ? 0 : errno;
}

}  // namespace

LockFile::LockFile(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  require(fd_ >= 0, "{}: cannot open: {}", path_, std::strerror(errno));
}

LockFile::~LockFile() { ::close(fd_); }

bool LockFile::works() const { return ask(fd_, F_OFD_GETLK, lock_of(F_WRLCK, 0)) == 0; }

bool LockFile::is_held(int fd, uint64_t byte) {
  short found = F_UNLCK;
  return ask(fd, F_OFD_GETLK, lock_of(F_WRLCK, byte), &found) == 0 && found != F_UNLCK;
}

bool LockFile::try_lock(uint64_t byte, bool shared) {
  const int reason = ask(fd_, F_OFD_SETLK, lock_of(shared ? F_RDLCK : F_WRLCK, byte));
  require(reason == 0 || reason == EAGAIN || reason == EACCES, "{}: cannot lock: {}", path_, std::strerror(reason));
  return reason == 0;
}

void LockFile::lock(uint64_t byte) {
  const int reason = ask(fd_, F_OFD_SETLKW, lock_of(F_WRLCK, byte));
  require(reason == 0, "{}: cannot lock: {}", path_, std::strerror(reason));
}

void LockFile::unlock(uint64_t byte) {
  const int reason = ask(fd_, F_OFD_SETLK, lock_of(F_UNLCK, byte));
  require(reason == 0, "{}: cannot unlock: {}", path_, std::strerror(reason));
}

}  // namespace jet
