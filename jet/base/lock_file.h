// Locks on single bytes of one file, each held by one process, so that processes which share nothing but a folder can
// claim work. The system frees what a process holds when it ends, however it ends. Threads of one process share its
// locks. (Open file description locks: fcntl(2); they reach across machines where the file system's locks do.)
#pragma once

#include <cstdint>
#include <string>

namespace jet {

class LockFile {
 public:
  /// Opens or makes the file; throws where that fails.
  explicit LockFile(std::string path);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

  /// Whether the file system has such locks; without, the calls below throw.
  bool works() const;
  /// False where another process holds the byte. `shared`: as many as like may hold it, but no one who does not share.
  bool try_lock(uint64_t byte, bool shared = false);
  /// Waits, asleep, until the byte is free.
  void lock(uint64_t byte);
  void unlock(uint64_t byte);
  /// Whether anybody holds a byte of the open file `fd`; false where the system does not tell.
  static bool is_held(int fd, uint64_t byte);

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace jet
