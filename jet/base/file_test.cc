#include "jet/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "jet/base/error.h"

namespace jet {
namespace {

TEST(File, QuestionsAboutImpossiblePathsAreAnswered) {
  const std::string long_name = testing::TempDir() + std::string(300, 'x');
  EXPECT_FALSE(file_exists(long_name));
  EXPECT_FALSE(is_folder(long_name));
  EXPECT_TRUE(is_folder(testing::TempDir()));
  EXPECT_THROW(read_file(long_name), Error);
}

TEST(File, APipeIsNoFileAndIsNotWaitedFor) {
  const std::string path = testing::TempDir() + "jet_file_test_pipe";
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THROW(read_file(path), Error);
  EXPECT_THROW(MappedFile{path}, Error);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace jet
