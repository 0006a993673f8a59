// A test with a folder of its own, made for it and removed after it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "jet/base/file.h"

namespace jet {

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = testing::TempDir() + "jet_" + test->test_suite_name() + "_" + test->name() + "/";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Writes `bytes` under the folder; returns the path.
  std::string file(const std::string& name, std::string_view bytes) const {
    write_file(folder_ + name, bytes);
    return folder_ + name;
  }

  std::string folder_;  // ends in '/'
};

}  // namespace jet
