#include "jet/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

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

TEST(File, AFolderAppearsAsAWholeOrNotAtAll) {
  namespace fs = std::filesystem;
  const std::string root = testing::TempDir() + "jet_file_test_folder", path = root + "/new";
  fs::remove_all(root);
  const auto names = [&] {
    std::vector<std::string> all;
    if (fs::exists(root))
      for (const auto& e : fs::directory_iterator(root)) all.push_back(e.path().filename().string());
    return all;
  };
  {
    const AtomicFolder folder(path);
    write_file(folder.file("a"), "1");
    EXPECT_FALSE(file_exists(path));
  }
  EXPECT_TRUE(names().empty());
  for (const bool empty_before : {false, true}) {
    if (empty_before) fs::create_directories(path);
    AtomicFolder folder(path + "/");
    write_file(folder.file("a"), "1");
    folder.commit();
    EXPECT_EQ(read_file(path + "/a"), "1");
    EXPECT_EQ(names(), std::vector<std::string>{"new"});
    EXPECT_THROW(AtomicFolder{path}, Error);
    EXPECT_EQ(read_file(path + "/a"), "1");
    EXPECT_THROW(AtomicFolder{path + "/a"}, Error);
    fs::remove_all(path);
  }
  fs::remove_all(root);
}

TEST(File, ReleasedPagesAreReadAgain) {
  const std::string path = testing::TempDir() + "jet_file_test_pages";
  std::string text(100'000, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i % 251);
  write_file(path, text);
  const MappedFile file(path);
  for (const size_t begin : {0, 5, 4096, 99'999}) {
    for (const size_t size : {0, 1, 5000, 100'000}) {
      release_pages(file.bytes().subspan(begin, std::min(size, text.size() - begin)));
      EXPECT_EQ(std::memcmp(file.bytes().data(), text.data(), text.size()), 0);
    }
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace jet
