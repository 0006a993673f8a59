#include "jet/eval/run_code.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

namespace jet {
namespace {

class RunCode : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!cannot_run_code().empty()) GTEST_SKIP() << "skipped: " << cannot_run_code();
  }
};

TEST_F(RunCode, SaysWhetherAProgramEndsWell) {
  EXPECT_TRUE(run_python("def f(x):\n    return x + 1\nassert f(1) == 2"));
  EXPECT_FALSE(run_python("assert 1 == 2"));
  EXPECT_FALSE(run_python("def f(:"));
  EXPECT_FALSE(run_python("import sys\nsys.exit(0)"));  // before its end
  EXPECT_FALSE(run_python("import os\nos._exit(0)"));
  EXPECT_TRUE(run_python("print('x' * 1000000)"));
}

TEST_F(RunCode, EndsWhatTakesTooLong) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(run_python("while True: pass", {.seconds = 1}));
  EXPECT_FALSE(run_python("import os\nif os.fork() == 0:\n    import time\n    time.sleep(60)\nelse:\n    os.wait()",
                          {.seconds = 1}));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_F(RunCode, BoundsMemoryAndProcesses) {
  EXPECT_FALSE(run_python("x = bytearray(3 << 30)", {.memory = int64_t{1} << 30}));
  // A fork bomb meets the limit: what it does not start it reports.
  EXPECT_TRUE(
      run_python("import os, time\nn = 0\ntry:\n    while n < 500:\n        if os.fork() == 0:\n"
                 "            time.sleep(60)\n            os._exit(0)\n        n += 1\nexcept OSError: pass\n"
                 "assert n < 100, n"));
  EXPECT_FALSE(run_python("import os\nwhile True: os.fork()", {.seconds = 1}));
}

TEST_F(RunCode, LeavesFilesAlone) {
  const std::string file = std::filesystem::current_path() / "written_by_a_program";
  EXPECT_FALSE(run_python("open('" + file + "', 'w').write('x')"));
  EXPECT_FALSE(run_python("import os\nos.remove('/etc/hostname')"));
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_TRUE(run_python("open('own', 'w').write('x')\nassert open('own').read() == 'x'"));
  EXPECT_FALSE(run_python("open('own', 'w').write('x' * (32 << 20))"));
  EXPECT_TRUE(run_python("import os\nassert os.listdir('.') == []"));  // nothing is left of the one before
}

TEST_F(RunCode, HasNoNetworkAndSeesNoOtherProcess) {
  EXPECT_TRUE(run_python("import socket\ntry:\n    socket.socket()\nexcept PermissionError: pass\nelse: assert False"));
  EXPECT_TRUE(
      run_python("import os\nassert os.getpid() == 1\nassert os.listdir('/proc') == []\n"
                 "assert os.listdir('/run') == []"));
}

}  // namespace
}  // namespace jet
