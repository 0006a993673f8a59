#include "jet/data/corpus.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/data/test_folder.h"

namespace jet {
namespace {

constexpr int32_t kEnd = 4095;  // <|endoftext|>

const Tokenizer& base_tokenizer() {
  static const Tokenizer t = Tokenizer::load("models/base");
  return t;
}

class CorpusTest : public FolderTest {
 protected:
  SourceConfig source(const std::string& name, const std::string& text, double weight = 1) const {
    SourceConfig c;
    c.name = name;
    c.path = file(name + ".txt", text);
    c.weight = weight;
    return c;
  }

  /// `n` documents "<word> <number>.".
  static std::string numbered(const std::string& word, int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += word + " " + std::to_string(i) + ".\n<|endoftext|>\n";
    return text;
  }

  static std::string error_of(const std::vector<SourceConfig>& sources, int64_t held_out = 1) {
    try {
      Corpus::load(base_tokenizer(), sources, held_out, 1);
    } catch (const Error& e) { return e.what(); }
    return "no error";
  }
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

/// The documents in a row of ids, as text; the last may be cut.
std::vector<std::string> documents_of(const std::vector<int32_t>& ids) {
  std::vector<std::string> documents;
  for (auto begin = ids.begin(); begin != ids.end();) {
    const auto end = std::find(begin + 1, ids.end(), kEnd);
    documents.push_back(base_tokenizer().decode({begin, end}));
    begin = end;
  }
  return documents;
}

TEST_F(CorpusTest, RowsAreWholeDocuments) {
  const auto c = Corpus::load(base_tokenizer(),
                              {source("a", "\none two\n\nthree\n\n<|endoftext|>\n \n<|endoftext|>\nfour")}, 0, 2);
  EXPECT_EQ(c.train_documents("a"), 2);
  EXPECT_EQ(c.held_out_tokens("a"), 0);
  const auto b = c.train_batch(1, 0, 4, 64);
  EXPECT_EQ(b.ids.size(), 4u * 64);
  EXPECT_EQ(b.weights, std::vector<float>(4 * 64, 1.0f));
  for (size_t i = 0; i < b.ids.size(); ++i)
    EXPECT_EQ(b.starts[i] != 0, b.ids[i] == b.ids[0]) << i;  // each begins with the separator
  std::set<std::string> seen;
  for (int row = 0; row < 4; ++row) {
    auto documents = documents_of({b.ids.begin() + row * 64, b.ids.begin() + (row + 1) * 64});
    documents.pop_back();
    seen.insert(documents.begin(), documents.end());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"<|endoftext|>one two\n\nthree", "<|endoftext|>four"}));
}

TEST_F(CorpusTest, ASeparatorStandsOnALineOfItsOwn) {
  const auto c = Corpus::load(base_tokenizer(), {source("a", "x <|endoftext|> y\r\n<|endoftext|>\r\nz")}, 0, 1);
  EXPECT_EQ(c.train_documents("a"), 2);
}

TEST_F(CorpusTest, ABatchIsAFunctionOfSeedStepAndRow) {
  const std::vector<SourceConfig> sources = {source("a", numbered("a", 300)), source("b", numbered("b", 300))};
  const auto c = Corpus::load(base_tokenizer(), sources, 20, 1), again = Corpus::load(base_tokenizer(), sources, 20, 2);
  const auto b = c.train_batch(7, 5, 8, 32);
  c.train_batch(7, 6, 8, 32);
  EXPECT_EQ(b.ids, c.train_batch(7, 5, 8, 32).ids);
  EXPECT_EQ(b.ids, again.train_batch(7, 5, 8, 32).ids);
  EXPECT_NE(b.ids, c.train_batch(7, 6, 8, 32).ids);
  EXPECT_NE(b.ids, c.train_batch(8, 5, 8, 32).ids);
  const auto fewer = c.train_batch(7, 5, 3, 32).ids;  // a row does not see its neighbours
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), b.ids.begin()));
  EXPECT_EQ(c.held_out("a", 1, 20).ids, c.held_out("a", 1, 20).ids);
}

TEST_F(CorpusTest, HeldOutDocumentsAreTheLastAndNeverTrainedOn) {
  const auto c = Corpus::load(base_tokenizer(), {source("a", numbered("apple", 60))}, 40, 1);
  EXPECT_GE(c.held_out_tokens("a"), 40);
  EXPECT_LT(c.held_out_tokens("a"), 60);
  std::set<std::string> held, trained;
  for (auto& d : documents_of(c.held_out("a", 2, 20).ids)) held.insert(d);
  EXPECT_EQ(held.count("<|endoftext|>apple 0."), 0u);
  for (int step = 0; step < 50; ++step) {
    auto documents = documents_of(c.train_batch(1, step, 1, 256).ids);
    documents.pop_back();
    trained.insert(documents.begin(), documents.end());
  }
  EXPECT_EQ(static_cast<int64_t>(trained.size()), c.train_documents("a"));
  EXPECT_EQ(trained.count("<|endoftext|>apple 59."), 0u);
  EXPECT_THROW(c.held_out("a", 100, 20), Error);
  EXPECT_THROW(c.held_out("b", 1, 1), Error);
}

TEST_F(CorpusTest, SourcesComeByWeight) {
  const auto c = Corpus::load(
      base_tokenizer(),
      {source("a", numbered("a", 50), 3), source("b", numbered("b", 50), 1), source("never", numbered("never", 50), 0)},
      0, 1);
  int a = 0, b = 0, never = 0;
  for (int step = 0; step < 200; ++step)
    for (const auto& d : documents_of(c.train_batch(3, step, 1, 128).ids)) {
      a += d.find(">a ") != std::string::npos;
      b += d.find(">b ") != std::string::npos;
      never += d.find("never") != std::string::npos;
    }
  EXPECT_NEAR(static_cast<double>(a) / (a + b), 0.75, 0.03);
  EXPECT_EQ(never, 0);
  EXPECT_EQ(c.names(), (std::vector<std::string>{"a", "b", "never"}));
}

TEST_F(CorpusTest, LongDocumentsBeginAtTheStartOrAnywhere) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += std::to_string(i) + " ";
  const auto c = Corpus::load(base_tokenizer(), {source("a", text)}, 0, 1);
  int at_start = 0;
  std::set<std::vector<int32_t>> rows;
  for (int step = 0; step < 400; ++step) {
    const auto ids = c.train_batch(1, step, 1, 16).ids;
    at_start += ids[0] == kEnd;
    rows.insert(ids);
  }
  EXPECT_NEAR(at_start / 400.0, 0.5, 0.1);
  EXPECT_GT(rows.size(), 150u);
}

TEST_F(CorpusTest, AnswersAreWeighted) {
  auto s = source("a", "caf\xcc\x81\nWhat? 93\nWhere? 7\nNo answer 5");
  s.answers = "\\? (\\d+)$";
  s.answer_weight = 4;
  const auto c = Corpus::load(base_tokenizer(), {s}, 0, 1);
  const auto b = c.train_batch(1, 0, 1, static_cast<int>(c.train_tokens("a")));
  std::string weighted;
  for (size_t i = 0; i < b.ids.size(); ++i) {
    EXPECT_TRUE(b.weights[i] == 1.0f || b.weights[i] == 4.0f);
    if (b.weights[i] == 4.0f) weighted += base_tokenizer().bytes_of(b.ids[i]);
  }
  EXPECT_EQ(weighted, "937");
  s.text_weight = 0;
  const auto alone = Corpus::load(base_tokenizer(), {s}, 0, 1).train_batch(1, 0, 1, b.length).weights;
  for (size_t i = 0; i < b.ids.size(); ++i) EXPECT_EQ(alone[i], b.weights[i] == 4.0f ? 4.0f : 0.0f);
}

TEST_F(CorpusTest, NamesWhatIsWrong) {
  auto good = source("a", numbered("a", 10));
  EXPECT_HAS(error_of({}), "no sources");
  EXPECT_HAS(error_of({good, good}), "named twice");
  auto bad = good;
  bad.path = folder_ + "absent.txt";
  EXPECT_HAS(error_of({bad}), "absent.txt is missing");
  EXPECT_HAS(error_of({source("empty", "\n<|endoftext|>\n")}), "empty.txt holds no document");
  EXPECT_HAS(error_of({source("z", "x", 0)}), "weights of all sources are zero");
  EXPECT_HAS(error_of({source("z", "x", -1)}), "weight -1 must be");
  EXPECT_HAS(error_of({good}, 100000), "hold out fewer");
  bad = good;
  bad.text_weight = 0;
  EXPECT_HAS(error_of({bad}), "say what answers are");
  bad.text_weight = 1;
  bad.answers = "(";
  EXPECT_HAS(error_of({bad}), "regular expression is wrong");
  bad.answers = "x";
  EXPECT_HAS(error_of({bad}), "no group");
}

TEST_F(CorpusTest, TheSkillsAnswersAreFound) {
  SourceConfig s{"skills", "data/train/skills.txt", 1,
                 R"((?|(?:\?|=|Answer:) (\S+)$|(?:^Ask\.|\G)\n[a-z]+ [a-z]+: (\d+)$))", 8};
  const auto b = Corpus::load(base_tokenizer(), {s}, 8192, 2).held_out("skills", 1, 8192);
  std::string text;  // answers in brackets
  int answers = 0;
  for (size_t i = 0; i < b.ids.size(); ++i) {
    const bool answer = b.weights[i] != 1.0f;
    answers += answer;
    text += answer ? "[" + base_tokenizer().bytes_of(b.ids[i]) + "]" : base_tokenizer().bytes_of(b.ids[i]);
  }
  EXPECT_NEAR(answers / 8192.0, 0.08, 0.03);
  EXPECT_HAS(text, "Answer:[ C]\n");
  EXPECT_HAS(text, "Ask.\nyoung farmer: [3][2]\nbrave knife: [1][8]\n");
  EXPECT_HAS(text, "grey window? [9][8]\n");
  EXPECT_HAS(text, " + 19 = [5][1]\n");
}

TEST_F(CorpusTest, TheProjectsOwnTextLoads) {
  std::vector<SourceConfig> sources;
  for (const char* name : {"skills", "stories", "novels", "code", "gsm8k"})
    sources.push_back({name, std::string("data/train/") + name + ".txt", 1, "", 1});
  const auto c = Corpus::load(base_tokenizer(), sources, 8192, 2);
  for (const auto& name : c.names()) {
    EXPECT_GT(c.train_tokens(name), 100000) << name;
    EXPECT_GE(c.held_out_tokens(name), 8192) << name;
    EXPECT_EQ(c.held_out(name, 8, 1024).ids[0], kEnd) << name;
    RecordProperty(name, std::to_string(c.train_tokens(name)));
  }
}

}  // namespace
}  // namespace jet
