#include "jet/data/overlap.h"

#include <gtest/gtest.h>

#include "jet/base/file.h"
#include "jet/data/build.h"
#include "jet/data/test_folder.h"

namespace jet {
namespace {

using Words = std::vector<std::string>;

TEST(Words, AreLowerCaseRunsOfLettersAndDigits) {
  EXPECT_EQ(words_of("The  QUICK\nfox's 12.5 \xc3\x89t\xc3\xa9!"),
            (Words{"the", "quick", "fox", "s", "12", "5", "\xc3\xa9t\xc3\xa9"}));
  EXPECT_EQ(words_of("a\xe6\xbc\xa2\xe5\xad\x97z"), (Words{"a", "\xe6\xbc\xa2", "\xe5\xad\x97", "z"}));  // CJK
  EXPECT_EQ(words_of("a\xff"
                     "b"),
            (Words{"a", "b"}));
  EXPECT_EQ(words_of(" .,"), Words{});
}

class OverlapTest : public FolderTest {
 protected:
  TokenStore store_of(const Words& texts) const {
    std::string all;
    for (const auto& t : texts) all += t + "\n<|endoftext|>\n";
    write_file(folder_ + "a.txt", all);
    BuildOptions o;
    o.inputs = {folder_ + "a.txt"}, o.tokenizer = "models/base", o.out = folder_ + "tokens", o.shard_tokens = 100;
    build_tokens(o);
    return TokenStore(o.out);
  }

  static Overlap overlap(const TokenStore& store, const Words& texts, int common = 10, int threads = 1) {
    std::vector<GradedItem> items;
    for (const auto& t : texts) items.push_back({"task", static_cast<int64_t>(items.size()) + 1, t});
    return find_overlap(store, Tokenizer::load("models/base"), items, {13, common, threads, {}});
  }
};

/// "w1 w2 ... wn".
std::string words(int from, int n) {
  std::string text;
  for (int i = from; i < from + n; ++i) text += fmt::format("w{} ", i);
  return text;
}

TEST_F(OverlapTest, AnItemIsFoundByOneRunOfThirteenWords) {
  const auto store = store_of({"Nothing here.", "Before it: " + words(100, 13) + "and after.", words(200, 12) + "no."});
  const auto o =
      overlap(store, {words(300, 20), "W99, w98; " + words(100, 13) + "w7", words(200, 12) + "yes", "short"});
  ASSERT_EQ(o.hits.size(), 1u);  // twelve words are too few, and case and commas do not hide thirteen
  EXPECT_EQ(o.hits[0].item, 1u);
  EXPECT_EQ(o.hits[0].shared, 1);
  EXPECT_EQ(o.hits[0].runs, 4);
  EXPECT_EQ(o.hits[0].document, 1);
  EXPECT_EQ(o.hits[0].words + " ", words(100, 13));
  EXPECT_EQ(o.documents, (std::vector<int64_t>{1}));
  EXPECT_EQ(o.too_short, (std::vector<size_t>{3}));
}

TEST_F(OverlapTest, ATurnOfPhraseDoesNotCount) {
  Words texts;
  for (int i = 0; i < 11; ++i) texts.push_back(words(100, 13) + "text " + std::to_string(i));
  const auto store = store_of(texts);
  EXPECT_TRUE(overlap(store, {words(100, 13)}).hits.empty());
  EXPECT_EQ(overlap(store, {words(100, 13)}).common_runs, 1);
  EXPECT_EQ(overlap(store, {words(100, 13)}, 11).documents.size(), 11u);
  EXPECT_EQ(overlap(store, {words(100, 13)}, 0).documents.size(), 11u);
}

TEST_F(OverlapTest, ThreadsDoNotShow) {
  Words texts, items;
  for (int i = 0; i < 300; ++i) texts.push_back(words(i * 7 % 200, 30));
  for (int i = 0; i < 40; ++i) items.push_back(words(i * 11, 25));
  const auto store = store_of(texts);
  const auto a = overlap(store, items, 10, 1), b = overlap(store, items, 10, 3);
  EXPECT_EQ(a.documents, b.documents);
  EXPECT_FALSE(a.hits.empty());
  ASSERT_EQ(a.hits.size(), b.hits.size());
  for (size_t i = 0; i < a.hits.size(); ++i) {
    EXPECT_EQ(a.hits[i].item, b.hits[i].item);
    EXPECT_EQ(a.hits[i].document, b.hits[i].document);
    EXPECT_EQ(a.hits[i].shared, b.hits[i].shared);
    EXPECT_EQ(a.hits[i].words, b.hits[i].words);
  }
}

TEST_F(OverlapTest, ADecontaminatedFolderIsClean) {
  Words texts;
  for (int i = 0; i < 40; ++i) texts.push_back(words(i * 100, 40));
  const std::vector<GradedItem> items = {{"task", 1, words(710, 20)}, {"task", 2, words(100000, 20)}};
  store_of(texts);  // writes a.txt
  BuildOptions o;
  o.inputs = {folder_ + "a.txt"}, o.tokenizer = "models/base", o.out = folder_ + "clean", o.graded = items;
  const Manifest m = build_tokens(o);
  EXPECT_EQ(m.dropped.documents, 1);
  EXPECT_EQ(m.settings.graded, graded_hash(items));
  const TokenStore store(o.out);
  EXPECT_EQ(store.train_documents(), 39);
  EXPECT_EQ(store.train_document(6), 6);
  EXPECT_EQ(store.train_document(7), 8);
  EXPECT_TRUE(store.is_marked(7));
  EXPECT_TRUE(find_overlap(store, Tokenizer::load("models/base"), items, {}).hits.empty());
}

}  // namespace
}  // namespace jet
