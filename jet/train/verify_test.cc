#include "jet/train/verify.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace jet {
namespace {

/// All cases pass; returns how many were not skipped.
int expect_all(const std::string& root) {
  int n = 0;
  for (const auto& c : verify_torch(root)) {
    EXPECT_TRUE(c.ok) << root << ": " << c.name << " " << c.error << " > " << c.tolerance;
    n += c.note.empty();
  }
  return n;
}

TEST(TorchGoldens, Fixtures) { EXPECT_GT(expect_all("tests/fixtures"), 300); }

TEST(TorchGoldens, AllFamiliesAndBlocks) {
  const std::string root = "../shared/golden";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "skipped: " << root << " is absent";
  EXPECT_GT(expect_all(root + "/families") + expect_all(root + "/blocks"), 450);
}

TEST(TorchGoldens, Operators) {
  const std::string root = "../shared/golden/ops";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "skipped: " << root << " is absent";
  EXPECT_EQ(expect_all(root), 134);
}

}  // namespace
}  // namespace jet
