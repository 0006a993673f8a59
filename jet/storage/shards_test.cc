#include "jet/storage/shards.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/json.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

class Shards : public testing::Test {
 protected:
  Shards() { fs::remove_all(folder_); }
  ~Shards() override { fs::remove_all(folder_); }

  /// Four tensors of i64, of 3, 1, 5 and 2 numbers, handed over in parts of `part` bytes.
  size_t write(int64_t shard_bytes, size_t part) {
    fs::remove_all(folder_);
    std::vector<TensorToWrite> tensors;
    for (const int64_t n : {3, 1, 5, 2}) tensors.push_back({fmt::format("t{}", n), DType::i64, {n}});
    ShardedSafeTensorsWriter file(folder_, tensors, shard_bytes);
    for (const auto& t : tensors) {
      const std::vector<int64_t> values(numel(t.shape), numel(t.shape));
      auto bytes = std::as_bytes(std::span(values));
      for (; !bytes.empty(); bytes = bytes.subspan(std::min(part, bytes.size()))) {
        file.write(bytes.first(std::min(part, bytes.size())));
      }
    }
    file.commit();
    const SafeTensors st = SafeTensors::open(folder_);
    for (const int64_t n : {3, 1, 5, 2}) {
      EXPECT_EQ(to_ints(st.at(fmt::format("t{}", n))), std::vector<int64_t>(n, n)) << shard_bytes << " " << part;
    }
    EXPECT_EQ(st.all().size(), 4u);
    return file.files();
  }
  std::string folder_ = testing::TempDir() + "jet_shards_test";
};

TEST_F(Shards, FilesAreFilledInOrder) {
  for (const size_t part : {1, 7, 8, 100}) {
    EXPECT_EQ(write(1000, part), 1u);
    EXPECT_EQ(write(88, part), 1u);  // all of it
    EXPECT_EQ(write(87, part), 2u);
    EXPECT_EQ(write(40, part), 3u);  // 3 + 1, 5, 2
    EXPECT_EQ(write(1, part), 4u);
  }
}

TEST_F(Shards, TheIndexSaysWhichFile) {
  write(1000, 8);
  EXPECT_TRUE(file_exists(folder_ + "/model.safetensors"));
  EXPECT_FALSE(file_exists(folder_ + "/model.safetensors.index.json"));
  write(40, 8);
  EXPECT_FALSE(file_exists(folder_ + "/model.safetensors"));
  EXPECT_EQ(read_json(folder_ + "/model.safetensors.index.json"), Json::parse(R"({
    "metadata": {"total_size": 88},
    "weight_map": {"t1": "model-00001-of-00003.safetensors", "t2": "model-00003-of-00003.safetensors",
                   "t3": "model-00001-of-00003.safetensors", "t5": "model-00002-of-00003.safetensors"}})"));
}

TEST_F(Shards, RefusesTooFewAndTooManyBytes) {
  const std::vector<TensorToWrite> tensors = {{"a", DType::i64, {1}}, {"b", DType::i64, {1}}};
  const std::vector<std::byte> bytes(16);
  const std::span<const std::byte> all(bytes);
  EXPECT_THROW(ShardedSafeTensorsWriter(folder_, tensors, 0), Error);
  for (const int64_t shard : {8, 100}) {
    ShardedSafeTensorsWriter file(folder_, tensors, shard);
    EXPECT_THROW(file.write(all), Error);  // beyond the end of a
    file.write(all.first(4));
    EXPECT_THROW(file.commit(), Error);
    file.write(all.first(4));
    EXPECT_THROW(file.commit(), Error);  // b is missing
    file.write(all.first(8));
    EXPECT_THROW(file.write(all.first(8)), Error);
    file.commit();
  }
}

}  // namespace
}  // namespace jet
