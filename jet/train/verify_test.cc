#include "jet/train/verify.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace jet {
namespace {

void expect_all(const std::vector<TorchCase>& cases, const std::string& folder) {
  for (const auto& c : cases) EXPECT_TRUE(c.ok()) << folder << ": " << c.name << " " << c.error << " > " << c.tolerance;
}

std::vector<std::string> folders(const std::string& root) {
  std::vector<std::string> all;
  if (!std::filesystem::is_directory(root)) return all;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (entry.is_directory()) all.push_back(entry.path().string());
  }
  return all;
}

TEST(TorchGoldens, Models) {
  for (const char* name : {"qwen2", "jet"}) {
    const std::string folder = std::string("tests/fixtures/") + name;
    expect_all(verify_torch_model(folder), folder);
  }
}

TEST(TorchGoldens, Blocks) {
  for (const auto& folder : folders("tests/fixtures/blocks")) expect_all(verify_torch_block(folder), folder);
}

TEST(TorchGoldens, AllFamiliesAndBlocks) {
  const std::string root = "../shared/golden";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "skipped: " << root << " is absent";
  for (const auto& folder : folders(root + "/families")) expect_all(verify_torch_model(folder), folder);
  int known = 0;
  for (const auto& folder : folders(root + "/blocks")) {
    if (!block_golden_is_known(folder)) continue;
    ++known;
    expect_all(verify_torch_block(folder), folder);
  }
  EXPECT_GE(known, 10);
}

}  // namespace
}  // namespace jet
