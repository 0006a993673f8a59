#include "jet/engine/prefix_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "jet/base/file.h"
#include "jet/base/hash.h"
#include "jet/engine/prefix_cache.h"
#include "jet/engine/test_models.h"

namespace jet {
namespace {

using Ids = std::vector<int32_t>;
namespace fs = std::filesystem;

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename() != "lock") names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());
  return names;
}

const PrefixOwner kOwner{"a-model", "kv f32"};

/// The path of a prompt, as a cache has it that nothing is missing in.
PrefixPath path_of_prompt(Engine& e, const Ids& ids, int stride = 8) {
  PrefixCache cache(e, 1 << 24, stride);
  const int64_t marks[] = {std::ssize(ids) / 2};
  const auto read = cache.prefill(ids, marks);
  cache.store(ids, *read.sequence);
  return cache.path_of(ids);
}

std::shared_ptr<const SequenceState> empty_state(Engine& e) { return PrefixCache(e, 0).empty_state(); }

class PrefixFiles : public testing::TestWithParam<NamedSpec> {};
INSTANTIATE_TEST_SUITE_P(, PrefixFiles, testing::ValuesIn(test_models()), [](const auto& i) { return i.param.name; });

TEST_P(PrefixFiles, GiveBackEveryCheckpointToTheBit) {
  TemporaryFolder folder;
  const std::string name = folder.path() + "/a";
  for (const auto& [kv, state] : {std::pair(DType::bf16, DType::f32), std::pair(DType::i8, DType::bf16)}) {
    const auto e = Engine::random(GetParam().spec, 1, DType::f32, {.threads = 1, .kv = kv, .state = state});
    const Ids ids = test_ids(40, 3), next = test_ids(9, 4);
    const PrefixPath path = path_of_prompt(*e, ids);
    EXPECT_EQ(write_prefix_file(name, path, kOwner), prefix_file_bytes(path));
    EXPECT_EQ(prefix_file_bytes(path), static_cast<int64_t>(fs::file_size(name)));
    const PrefixFile file(name, kOwner, empty_state(*e));
    EXPECT_EQ(file.ids(), ids);
    ASSERT_EQ(file.runs().size(), path.runs.size());
    PrefixCache parts(*e, 1 << 24);
    for (size_t i = 0; i < path.runs.size(); ++i) {
      const int64_t end = file.runs()[i].end, begin = i == 0 ? 0 : file.runs()[i - 1].end;
      EXPECT_EQ(file.runs()[i].is_mark, path.runs[i].is_mark);
      const auto to_here = std::span(ids).first(end);
      EXPECT_TRUE(PrefixCache(*e, 1 << 24).insert(to_here, file.read(i, 0)));
      EXPECT_TRUE(parts.insert(to_here, file.read(i, begin)));
      Ids more(ids.begin(), ids.begin() + end);
      more.insert(more.end(), next.begin(), next.end());
      auto sequence = parts.lookup(more);
      ASSERT_EQ(sequence->length(), end);
      PrefixCache source(*e, 1 << 24, 8);
      source.prefill(ids, std::vector<int64_t>{std::ssize(ids) / 2});
      auto wanted = source.lookup(std::span(more).first(end + 1));
      if (wanted->length() != end) continue;  // the end of all
      EXPECT_EQ(prefilled(*e, *sequence, next, Want::all), prefilled(*e, *wanted, next, Want::all)) << end;
    }
  }
}

TEST(PrefixFile, DamageIsFound) {
  TemporaryFolder folder;
  const std::string name = folder.path() + "/a";
  const auto e = Engine::random(test_spec({test_models().front().spec.layers[0], example<GatedDeltaNet>()}), 1,
                                DType::f32, {.threads = 1});
  const auto like = empty_state(*e);
  const PrefixPath path = path_of_prompt(*e, test_ids(24, 3));
  write_prefix_file(name, path, kOwner);
  const std::string whole = read_file(name);
  const auto read_all = [&] {
    const PrefixFile file(name, kOwner, like);
    for (size_t i = 0; i < file.runs().size(); ++i) file.read(i, 0);
  };
  read_all();
  const auto write = [&](const std::string& text) { std::ofstream(name, std::ios::binary) << text; };
  for (size_t at = 0; at < whole.size(); at += at < 400 ? 1 : 37) {  // any byte
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    write(bytes);
    EXPECT_THROW(read_all(), Error) << at;
  }
  for (size_t size = 0; size < whole.size(); size += 61) {  // any length
    write(whole.substr(0, size));
    EXPECT_THROW(read_all(), Error) << size;
  }
  write(whole + "x");
  EXPECT_THROW(read_all(), Error);
  std::string newer = whole;
  newer[8] = 2;
  write(newer);
  EXPECT_THROW(read_all(), ForeignFile);
  EXPECT_NE(message_of(read_all).find("version 2"), std::string::npos);
  write(whole);
  EXPECT_THROW(PrefixFile(name, {"another", kOwner.type}, like), ForeignFile);
  EXPECT_THROW(PrefixFile(name, {kOwner.model, "kv i8"}, like), ForeignFile);
  EXPECT_THROW(PrefixFile(folder.path() + "/none", kOwner, like), Error);
  const auto other = Engine::random(test_models().front().spec, 1, DType::f32, {.threads = 1});
  EXPECT_THROW(PrefixFile(name, kOwner, empty_state(*other)), Error);  // of another layout
}

class PrefixFolders : public testing::Test {
 protected:
  std::unique_ptr<PrefixFolder> open(int64_t bytes = 1 << 24) {
    PrefixFolderOptions o{.path = folder_.path() + "/c", .bytes = bytes, .owner = owner_};
    o.tell = [this](const std::string& line) { told_.push_back(line); };
    return std::make_unique<PrefixFolder>(o, empty_state(*engine_));
  }
  /// What it has of these, put into an empty cache.
  int64_t taken(PrefixFolder& f, const Ids& ids) {
    PrefixCache cache(*engine_, 1 << 24);
    const auto got = f.fetch(ids, 0, 1 << 24);
    if (!got) return 0;
    EXPECT_TRUE(cache.insert(got->ids, got->run));
    return cache.held(ids).state;
  }
  Ids after(const Ids& a, int n, uint64_t seed) {
    Ids all = a;
    for (const int32_t id : test_ids(n, seed)) all.push_back(id);
    return all;
  }

  TemporaryFolder folder_;
  PrefixOwner owner_ = kOwner;
  std::vector<std::string> told_;
  std::shared_ptr<Engine> engine_ = Engine::random(
      test_spec({test_models().front().spec.layers[0], example<GatedDeltaNet>()}), 1, DType::f32, {.threads = 1});
};

TEST_F(PrefixFolders, KeepPathsOverARestart) {
  const Ids first = test_ids(30, 1), second = after(first, 20, 2), other = test_ids(25, 3);
  {
    const auto f = open();
    EXPECT_EQ(f->find(first), 0);
    f->put(path_of_prompt(*engine_, first));
    f->put(path_of_prompt(*engine_, other));
    f->wait();
    EXPECT_EQ(f->stats().files, 2);
    EXPECT_EQ(f->find(after(first, 3, 9)), 30);
    EXPECT_EQ(f->find(first), 29);             // a token is left to run
    f->put(path_of_prompt(*engine_, second));  // takes the place of the first
    f->wait();
    EXPECT_EQ(f->stats().files, 2);
  }
  EXPECT_EQ(files_in(folder_.path() + "/c").size(), 2u);
  const auto f = open();
  EXPECT_EQ(f->stats().files, 2);
  EXPECT_EQ(taken(*f, after(second, 4, 8)), 50);
  EXPECT_EQ(taken(*f, after(first, 3, 9)), 30);
  EXPECT_EQ(taken(*f, after(other, 3, 9)), 25);
  EXPECT_EQ(taken(*f, test_ids(20, 30)), 0);
  EXPECT_EQ(f->stats().read, 3);
  f->remove(other);
  EXPECT_EQ(f->find(after(other, 3, 9)), 0);
  EXPECT_TRUE(told_.empty());
}

TEST_F(PrefixFolders, RemoveWhatWaitsToBeWritten) {
  const auto f = open();
  std::vector<Ids> texts;
  for (int i = 0; i < 12; ++i) texts.push_back(test_ids(30, 100 + i));
  std::vector<PrefixPath> paths;
  for (const Ids& ids : texts) paths.push_back(path_of_prompt(*engine_, ids));
  for (const auto& path : paths) f->put(path);
  for (size_t i = 1; i < texts.size(); ++i) f->remove(texts[i]);  // most of them still wait
  f->wait();
  EXPECT_EQ(f->stats().files, 1);
  EXPECT_EQ(files_in(folder_.path() + "/c").size(), 1u);
  EXPECT_EQ(f->find(after(texts[0], 1, 9)), 30);
  EXPECT_FALSE(f->has(prefix_key(0, texts[5])));
}

TEST_F(PrefixFolders, AMarkThatMemoryHasLostIsTakenOver) {
  const Ids first = test_ids(30, 1), second = after(first, 20, 2);
  PrefixCache cache(*engine_, 1 << 24, 28);
  const auto read = cache.prefill(first, std::vector<int64_t>{15});
  cache.store(first, *read.sequence);
  const auto f = open();
  f->put(cache.path_of(first));
  f->wait();
  cache.prefill(second);
  PrefixPath path = cache.path_of(second);
  for (size_t i = 0; i + 1 < path.runs.size(); ++i) path.runs[i].state = nullptr;  // as evictions leave it
  f->put(path);
  f->wait();
  EXPECT_EQ(f->stats().files, 1);
  const Ids third = after(second, 20, 3);
  const auto fetched = f->fetch(third, 0, 1 << 24);  // one run
  PrefixCache restarted(*engine_, 1 << 24, 28);
  ASSERT_TRUE(restarted.insert(fetched->ids, fetched->run));
  restarted.prefill(third);
  f->put(restarted.path_of(third));
  f->wait();
  EXPECT_EQ(f->stats().files, 1);
  EXPECT_EQ(f->find(third), 69);
  for (const int n : {15, 29, 30, 49}) EXPECT_EQ(taken(*f, after({third.begin(), third.begin() + n}, 5, 77)), n);
}

TEST_F(PrefixFolders, KeepToTheirBudget) {
  const int64_t one = prefix_file_bytes(path_of_prompt(*engine_, test_ids(30, 1)));
  {
    const auto f = open(3 * one);
    for (int i = 0; i < 6; ++i) {
      f->put(path_of_prompt(*engine_, test_ids(30, i)));
      f->wait();
      EXPECT_LE(f->stats().bytes, 3 * one);
      EXPECT_EQ(taken(*f, after(test_ids(30, 0), 2, 9)), 30);  // used all the time
    }
    EXPECT_EQ(f->find(after(test_ids(30, 1), 2, 9)), 0);
    EXPECT_EQ(f->find(after(test_ids(30, 5), 2, 9)), 30);
    f->put(path_of_prompt(*engine_, test_ids(95, 7), 2));  // too large for it
    f->wait();
    EXPECT_EQ(f->stats().let_go, 1);
  }
  const auto f = open(one);
  EXPECT_LE(f->stats().bytes, one);
  EXPECT_EQ(files_in(folder_.path() + "/c").size(), 1u);
}

TEST_F(PrefixFolders, DamagedFilesGoAndOthersStay) {
  const Ids ids[] = {test_ids(30, 1), test_ids(31, 2), test_ids(32, 3)};
  const std::string path = folder_.path() + "/c";
  {
    const auto f = open();
    for (const Ids& i : ids) f->put(path_of_prompt(*engine_, i));
  }
  const auto files = files_in(path);
  ASSERT_EQ(files.size(), 3u);
  write_file(path + "/0123.path.tmp-99", "half");
  write_file(path + "/notes.txt", "mine");
  fs::resize_file(files[0], fs::file_size(files[0]) / 2);
  std::string bytes = read_file(files[1]);
  bytes.back() ^= 1;  // the last checkpoint: seen when it is read
  write_file(files[1], bytes);
  const auto f = open();
  EXPECT_EQ(told_.size(), 1u);
  EXPECT_NE(told_[0].find("is damaged"), std::string::npos) << told_[0];
  EXPECT_EQ(f->stats().files, 2);
  int found = 0;
  for (const Ids& i : ids) found += taken(*f, after(i, 2, 9)) == std::ssize(i);
  EXPECT_EQ(found, 1);
  EXPECT_EQ(told_.size(), 2u);
  EXPECT_EQ(f->stats().files, 1);
  EXPECT_EQ(files_in(path).size(), 2u);  // and the notes
  EXPECT_THROW(open(), Error);           // taken
}

TEST_F(PrefixFolders, AnotherModelsFilesAreNotUsed) {
  const Ids ids = test_ids(30, 1);
  open()->put(path_of_prompt(*engine_, ids));
  owner_.model = "another";
  {
    const auto f = open();
    EXPECT_EQ(f->find(after(ids, 2, 9)), 0);
    EXPECT_EQ(f->stats().files, 1);
    EXPECT_EQ(told_.size(), 1u);
    f->put(path_of_prompt(*engine_, ids));
    f->wait();
    EXPECT_EQ(f->stats().files, 2);
  }
  owner_ = kOwner;
  const auto f = open();
  EXPECT_EQ(taken(*f, after(ids, 2, 9)), 30);
}

}  // namespace
}  // namespace jet
