#include "jet/base/lock_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace jet {
namespace {

TEST(LockFile, OneHolderAByteAndNoneAfterADeath) {
  const std::string path = testing::TempDir() + "jet_lock_file";
  LockFile mine(path), other(path);  // two openings exclude each other as two processes do
  ASSERT_TRUE(mine.works());
  EXPECT_TRUE(mine.try_lock(7));
  EXPECT_FALSE(other.try_lock(7));
  EXPECT_TRUE(other.try_lock(~uint64_t{8}));
  mine.unlock(7);
  EXPECT_TRUE(other.try_lock(7));
  other.unlock(7);

  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    LockFile its(path);
    const bool held = its.try_lock(7);
    if (write(ready[1], &held, 1) == 1) pause();
    _exit(1);
  }
  bool held = false;
  ASSERT_EQ(read(ready[0], &held, 1), 1);
  EXPECT_TRUE(held);
  EXPECT_FALSE(mine.try_lock(7));
  kill(child, SIGKILL);
  mine.lock(7);
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(other.try_lock(7));
  close(ready[0]), close(ready[1]);
  unlink(path.c_str());
}

TEST(LockFile, SharedHoldersKeepOthersOut) {
  const std::string path = testing::TempDir() + "jet_lock_file_shared";
  LockFile a(path), b(path), c(path);
  EXPECT_TRUE(a.try_lock(0, /*shared=*/true));
  EXPECT_TRUE(b.try_lock(0, /*shared=*/true));
  EXPECT_FALSE(c.try_lock(0));
  a.unlock(0);
  EXPECT_FALSE(c.try_lock(0));
  b.unlock(0);
  EXPECT_TRUE(c.try_lock(0));
  EXPECT_FALSE(a.try_lock(0, /*shared=*/true));
  unlink(path.c_str());
}

}  // namespace
}  // namespace jet
