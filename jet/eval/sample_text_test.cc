#include "jet/eval/sample_text.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace jet {
namespace {

namespace fs = std::filesystem;

class SampleText : public testing::Test {
 protected:
  SampleText() { fs::remove_all(folder_), fs::create_directories(folder_); }
  ~SampleText() override { fs::remove_all(folder_); }
  SampleOptions options(int64_t tokens) const {
    return {.model = "models/base",
            .out = folder_ + "/tokens",
            .tokens = tokens,
            .length = 80,
            .at_once = 4,
            .shard_tokens = 256,
            .held_out_tokens = 100,
            .threads = 1};
  }
  const std::string folder_ = fs::temp_directory_path() / fmt::format("jet-sample-{}", getpid());
};

TEST_F(SampleText, IsAFolderOfTokensThatGoesOnAfterAKill) {
  SampleOptions o = options(1000);
  o.progress = [](int64_t done, int64_t) { require(done < 400, "killed"); };
  EXPECT_THROW(sample_text(o), Error);
  ASSERT_TRUE(fs::exists(o.out + "/shard-00000.bin"));
  const auto kept = read_file(o.out + "/shard-00000.bin");
  o.progress = {};
  const Manifest m = sample_text(o);
  EXPECT_EQ(read_file(o.out + "/shard-00000.bin"), kept);
  EXPECT_GE(m.tokens, 1000);
  EXPECT_LT(m.tokens, 1080);
  const TokenStore store(o.out);
  store.verify(1);
  store.require_tokenizer(Tokenizer::load("models/base"));
  std::vector<int32_t> first(1);
  for (int64_t d = 0; d < store.documents(); ++d) {
    store.copy(d, 0, first);
    EXPECT_EQ(first[0], m.tokenizer.separator);
    EXPECT_LE(store.size(d), 80);
  }
  EXPECT_GE(store.held_out_tokens(), 100);
  EXPECT_EQ(sample_text(o).tokens, m.tokens);  // it is there
  o.seed = 2;
  EXPECT_THROW(sample_text(o), Error);
  o.out += "-small", o.held_out_tokens = o.tokens;  // refused before anything is drawn
  EXPECT_THROW(sample_text(o), Error);
  EXPECT_FALSE(fs::exists(o.out));
}

TEST_F(SampleText, GoesOnFromATextAndRefusesWhatIsNotThere) {
  SampleOptions o = options(300);
  o.from = {"text"};
  EXPECT_THROW(sample_text(o), Error);
  o.text = "data/train/stories.txt";
  const Manifest m = sample_text(o);
  const TokenStore store(o.out);
  const auto tokenizer = Tokenizer::load("models/base");
  const std::string source = read_file(o.text);
  std::vector<int32_t> ids(store.size(0));
  store.copy(0, 0, ids);
  const std::string begun = tokenizer.decode({ids.begin() + 1, ids.begin() + 8});  // the separator stands before it
  EXPECT_NE(source.find(begun), std::string::npos) << begun;
  o.from = {"chat"}, o.out += "2";
  EXPECT_THROW(sample_text(o), Error);  // no template
  o.from = {"book"};
  EXPECT_THROW(sample_text(o), Error);
}

}  // namespace
}  // namespace jet
