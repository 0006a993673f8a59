#include "jet/text/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/json.h"
#include "jet/base/rng.h"
#include "jet/text/bpe.h"
#include "jet/text/onig_regex.h"
#include "jet/text/regex.h"
#include "jet/text/text_cache.h"
#include "jet/text/utf8.h"
#include "jet/text/word_scanner.h"

namespace jet {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

std::vector<Json> read_cases(const std::string& path) {
  std::vector<Json> cases;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) cases.push_back(parse_json(line, path));
  return cases;
}

/// Every case's ids and decoded text.
void expect_cases(const Tokenizer& t, const std::string& path, size_t count) {
  const auto cases = read_cases(path);
  EXPECT_EQ(cases.size(), count);
  for (const auto& c : cases) {
    const auto ids = c["ids"].get<Ids>();
    const auto text = c["text"].get<std::string>();
    EXPECT_EQ(t.encode(text), ids) << c["kind"] << " " << c["text"];
    for (int i = 0; i < 2; ++i) { EXPECT_EQ(t.encode_again(text), ids) << c["kind"] << " " << c["text"]; }
    EXPECT_EQ(t.decode(ids), c["decoded"].get<std::string>()) << c["kind"] << " " << c["text"];
  }
}

/// A folder of its own for each test, for tokenizers made up on the spot.
class TokenizerFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "jet_tokenizer_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// All bytes, "he", "ll", "llo" and "hello" with their merges, and <s>; ids as they come.
  static Json small() {
    Json vocab = Json::object();
    for (int b = 0; b < 256; ++b) vocab[token_from_byte(static_cast<unsigned char>(b))] = b;
    for (const char* t : {"he", "ll", "llo", "hello"}) vocab[t] = vocab.size();
    Json j;
    j["added_tokens"] = Json::array({{{"id", 260}, {"content", "<s>"}, {"special", true}}});
    j["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
    j["decoder"] = {{"type", "ByteLevel"}};
    j["model"] = {
        {"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array({"h e", "l l", Json::array({"ll", "o"}), "he llo"})}};
    return j;
  }
  Tokenizer load(const Json& j) const {
    write_file(folder_ + "/tokenizer.json", j.dump());
    return Tokenizer::load(folder_);
  }
  std::string error_of(const std::string& text) const {
    write_file(folder_ + "/tokenizer.json", text);
    try {
      Tokenizer::load(folder_);
    } catch (const Error& e) {
      const std::string what = e.what();
      EXPECT_EQ(what.find('\n'), std::string::npos) << what;
      EXPECT_HAS(what, "tokenizer.json");
      return what;
    }
    return "no error";
  }
  std::string error_of(const Json& j) const { return error_of(j.dump()); }

  std::string folder_;
};

TEST(Tokenizer, EncodesAsTheReferenceDoes) {
  const auto t = Tokenizer::load("models/base");
  EXPECT_EQ(t.vocab_size(), 4096);
  EXPECT_EQ(t.eos_id(), 4095);
  EXPECT_EQ(t.bos_id(), -1);
  EXPECT_TRUE(t.is_special(4095));
  expect_cases(t, "tests/fixtures/tokenizer/cases.jsonl", 500);
}

TEST(Tokenizer, EncodesQwenAsTheReferenceDoes) {
  const std::string folder = "../shared/golden/tokenizer/qwen2.5";
  if (!fs::exists(folder)) GTEST_SKIP() << "skipped: " << folder << " is absent";
  expect_cases(Tokenizer::load(folder), folder + "/cases.jsonl", 500);
}

/// Tokenizers put together at random of all components, and what the tokenizers library (0.23.3) makes of texts.
TEST_F(TokenizerFileTest, ComponentsDoAsTheLibraryDoes) {
  for (const auto& made : read_cases("tests/fixtures/tokenizer/components.jsonl")) {
    const auto t = load(made["tokenizer"]);
    for (const auto& c : made["cases"]) {
      const auto ids = c["ids"].get<Ids>();
      EXPECT_EQ(t.encode(c["text"].get<std::string>()), ids) << c["text"];
      EXPECT_EQ(t.decode(ids), c["decoded"].get<std::string>()) << c["text"];
    }
  }
}

TEST(Tokenizer, TokensAreTheirBytes) {
  const auto t = Tokenizer::load("models/base");
  const std::string text = "Once upon a time \xe2\x80\x94 na\xc3\xafve \xf0\x9f\x8c\x8a.\n<|endoftext|>";
  std::string bytes;
  for (const int32_t id : t.encode(text)) bytes += t.bytes_of(id);
  EXPECT_EQ(bytes, text);
  EXPECT_EQ(t.decode(t.encode(text), true), text.substr(0, text.find("<|")));
  EXPECT_EQ(t.id_of("<|endoftext|>"), 4095);
  EXPECT_EQ(t.id_of(" the"), t.encode(" the").at(0));
  EXPECT_EQ(t.id_of("no such token"), -1);
  for (const int32_t id : {-1, 4096, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(t.bytes_of(id), "");
    EXPECT_FALSE(t.is_special(id));
  }
}

TEST(Tokenizer, DamagedTextIsRepaired) {
  const auto t = Tokenizer::load("models/base");
  EXPECT_EQ(t.encode("a\xff z"), t.encode("a\xef\xbf\xbd z"));
  EXPECT_EQ(t.decode(t.encode("\xe2\x82")), "\xef\xbf\xbd");
  std::string noise;
  for (int i = 0; i < 5000; ++i) noise += static_cast<char>(i * 2654435761u >> 13);
  EXPECT_EQ(t.encode(noise), t.encode(repair_utf8(noise)));
}

TEST(Tokenizer, LongWordsTakeNoQuadraticTime) {
  const auto t = Tokenizer::load("models/base");
  const size_t n = 300000;
  std::string marks = "a";
  for (size_t i = 0; i < n / 4; ++i) marks += "\xcc\x81\xcc\xa3";  // two mark classes in turn, wrongly ordered
  for (const auto& text : {std::string(n, 'a'), std::string(n, ' '), std::string(n, '\n'), std::string(n, '<'), marks,
                           std::string(n, ' ') + "x"}) {
    const auto ids = t.encode(text);
    EXPECT_EQ(t.decode(ids), normalize_nfc(text));
  }
}

TEST(Tokenizer, ServesSeveralThreads) {
  const auto t = Tokenizer::load("models/base");
  const auto cases = read_cases("tests/fixtures/tokenizer/cases.jsonl");
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (size_t k = 0; k < wrong.size(); ++k)
    threads.emplace_back([&, k] {
      for (const auto& c : cases) {
        const auto text = c["text"].get<std::string>();
        const auto ids = c["ids"].get<Ids>();
        wrong[k] += t.encode(text) != ids || t.encode_again(text) != ids;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(TextCache, ForgetsWhatWasNotUsedForLongest) {
  const auto text = [](char c) { return std::string(1000, c); };
  const Ids ids(10, 7);
  TextCache cache(3500);
  const auto knows = [&](char c, bool first) {
    Ids found{1};
    const bool is_known = cache.find(text(c), first, found);
    EXPECT_EQ(found, is_known ? Ids({1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}) : Ids{1});
    return is_known;
  };
  cache.keep(text('a'), true, ids), cache.keep(text('b'), false, ids), cache.keep(text('b'), false, ids);
  EXPECT_TRUE(knows('a', true));
  EXPECT_FALSE(knows('a', false));
  cache.keep(text('c'), false, ids);  // three have room
  EXPECT_TRUE(knows('a', true));
  cache.keep(text('d'), false, ids);
  EXPECT_TRUE(knows('a', true) && knows('c', false) && knows('d', false));
  EXPECT_FALSE(knows('b', false));
  cache.keep(std::string(4000, 'e'), false, ids);  // has no room at all
  EXPECT_TRUE(knows('a', true));
}

TEST_F(TokenizerFileTest, MergesByRank) {
  const auto t = load(small());
  EXPECT_EQ(t.encode("hello"), Ids{259});
  EXPECT_EQ(t.encode("helo"), (Ids{256, 'l', 'o'}));
  EXPECT_EQ(t.encode("<s>hello<s>"), (Ids{260, 259, 260}));
}

TEST(BpeWord, IsNoLongerThanItsLinksCount) {
  std::vector<int32_t> ids;
  EXPECT_THROW(Bpe({}, {}).encode(std::string_view("x", size_t{1} << 31), ids), Error);  // refused before it is read
}

/// So many that they are resolved in parts, before the vocabulary and after it: all pairs of bytes, high ones first.
TEST_F(TokenizerFileTest, ManyMergesStandOnEitherSideOfTheVocabulary) {
  SortedJson pairs = SortedJson::object(), merges = SortedJson::array();
  for (int b = 0; b < 256; ++b) pairs[token_from_byte(static_cast<unsigned char>(b))] = b;
  for (int left = 255; left >= 0; --left) {
    for (int right = 0; right < 256; ++right) {
      const std::string l = token_from_byte(static_cast<unsigned char>(left));
      const std::string r = token_from_byte(static_cast<unsigned char>(right));
      merges.push_back({l, r});
      pairs.emplace(l + r, 256 + 256 * left + right);
    }
  }
  const std::string vocabulary = "\"vocab\": " + pairs.dump(), of_merges = "\"merges\": " + merges.dump();
  Json j = small();
  j["added_tokens"] = Json::array();
  for (const std::string& model : {vocabulary + ", " + of_merges, of_merges + ", " + vocabulary}) {
    j["model"] = "here";
    std::string text = j.dump();
    text.replace(text.find("\"here\""), 6, "{\"type\": \"BPE\", " + model + "}");
    write_file(folder_ + "/tokenizer.json", text);
    const auto t = Tokenizer::load(folder_);
    for (const int left : {'A', 'Z', 'a'})
      for (const int right : {'A', 'Z', 'a'}) {
        const std::string word = {static_cast<char>(left), static_cast<char>(right), 'B'};
        const int first = 256 + 256 * left + right, second = 256 + 256 * right + 'B';
        const bool second_ranks = right > left || (right == left && 'B' < right);
        EXPECT_EQ(t.encode(word), second_ranks ? (Ids{left, second}) : (Ids{first, 'B'})) << word;
      }
    text.insert(text.find(of_merges) + of_merges.size() - 3, "?");  // into the last token
    EXPECT_HAS(error_of(text), "merge 65535: token");
  }
}

TEST_F(TokenizerFileTest, IgnoreMergesTakesWholeWords) {
  Json j = small();
  j["model"]["merges"] = Json::array();
  EXPECT_EQ(load(j).encode("hello"), (Ids{'h', 'e', 'l', 'l', 'o'}));
  j["model"]["ignore_merges"] = true;
  EXPECT_EQ(load(j).encode("hello"), Ids{259});
}

TEST_F(TokenizerFileTest, AddedTokensFollowTheirFlags) {
  Json j = small();
  j["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array({{{"type", "NFC"}}})}};
  j["added_tokens"] = Json::array({
      {{"id", 260}, {"content", "<a>"}, {"special", true}, {"lstrip", true}},
      {{"id", 261}, {"content", "<a>b"}, {"special", true}, {"rstrip", true}},
      {{"id", 262}, {"content", "word"}, {"special", false}, {"normalized", true}, {"single_word", true}},
      {{"id", 263}, {"content", "\xe1\xbb\x87"}, {"special", false}, {"normalized", true}},
  });
  const auto t = load(j);
  EXPECT_EQ(t.encode("x  <a> y"), (Ids{'x', 260, ' ', 'y'}));
  EXPECT_EQ(t.encode("<a>b  y<a>"), (Ids{261, 'y', 260}));  // the longest wins
  EXPECT_EQ(t.encode("(word)"), (Ids{'(', 262, ')'}));
  EXPECT_EQ(t.encode("words"), (Ids{'w', 'o', 'r', 'd', 's'}));
  EXPECT_EQ(t.encode("e\xcc\xa3\xcc\x82"), Ids{263});  // found in the normalized text
  EXPECT_FALSE(t.is_special(262));
}

TEST_F(TokenizerFileTest, SplitsFollowOneAnother) {
  Json j = small();
  const auto with = [&](Json first) {
    j["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         Json::array({first, {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}})}};
    return load(j);
  };
  Json regex = {{"type", "Split"}, {"pattern", {{"Regex", "l"}}}, {"behavior", "Isolated"}, {"invert", false}};
  EXPECT_EQ(with(regex).encode("hello"), (Ids{256, 'l', 'l', 'o'}));
  Json literal = {{"type", "Split"}, {"pattern", {{"String", "e"}}}, {"behavior", "Isolated"}, {"invert", false}};
  EXPECT_EQ(with(literal).encode("hello"), (Ids{'h', 'e', 258}));
  EXPECT_EQ(with({{"type", "Digits"}, {"individual_digits", true}}).encode("hello1"), (Ids{259, '1'}));
}

TEST_F(TokenizerFileTest, PrefixSpaceAndTemplate) {
  Json j = small();
  j["pre_tokenizer"]["add_prefix_space"] = true;
  j["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       Json::array({{{"type", "ByteLevel"}},
                    {{"type", "TemplateProcessing"},
                     {"single", Json::array({{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
                                             {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}})},
                     {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {260}}, {"tokens", {"<s>"}}}}}}}})}};
  const auto t = load(j);
  EXPECT_EQ(t.encode("hello", true), (Ids{260, ' ', 259}));
  EXPECT_EQ(t.encode(" hello"), (Ids{' ', 259}));
  EXPECT_EQ(t.encode("", true), Ids{260});
  EXPECT_EQ(t.beginning(), Ids{260});
  EXPECT_EQ(encode_rows(t, " hello hello hello", 4, 8), (Ids{260, ' ', 259, ' ', 260, 259, ' ', 259}));
  EXPECT_EQ(encode_rows(t, " hello hello hello", 4, 1), (Ids{260, ' ', 259, ' '}));
  EXPECT_EQ(encode_rows(t, " hello", 4, 8), (Ids{260, ' ', 259}));
  EXPECT_THROW(encode_rows(t, " hello", 1, 8), Error);
}

TEST_F(TokenizerFileTest, NamesTheDamage) {
  EXPECT_HAS(error_of(std::string("{")), "not valid JSON");
  EXPECT_HAS(error_of(std::string("[]")), "key 'model' is missing");
  EXPECT_HAS(error_of(std::string("{\"model\": 1}")), "key 'model' is missing");
  struct Case {
    const char *pointer, *value, *error;
  };
  const Case cases[] = {
      {"/model/vocab", "null", "key 'model.vocab' is missing"},
      {"/model/vocab/he", "-1", "token 'he' has the id '-1'"},
      {"/model/vocab/he", "99999999999", "token 'he' has the id '99999999999'"},
      {"/model/vocab/he", "1.5", "token 'he' has the id '1.5'"},
      {"/model/vocab/he", "257", "id 257 is given to token"},
      {"/model/type", "\"Unigram\"", "is not what a Unigram model has"},
      {"/model/type", "\"WordPiece\"", "type 'WordPiece' cannot be read"},
      {"/model/type", "7", "has the wrong type"},
      {"/model/dropout", "0.1", "dropout"},
      {"/model/byte_fallback", "7", "byte_fallback"},
      {"/model/colour", "7", "the field 'colour' is not known"},
      {"/model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix"},
      {"/model/merges", "7", "'model.merges'"},
      {"/model/merges/1", "\"l x\"", "merge 1: token 'lx' is not in the vocabulary"},
      {"/model/merges/1", "\"ll\"", "merge 1: 'll' is not two tokens"},
      {"/model/merges/1", "\"l l l\"", "merge 1: 'l l l' is not two tokens"},
      {"/model/merges/1", "[\"l\"]", "merge 1: is no pair"},
      {"/added_tokens", "7", "'added_tokens' is no list"},
      {"/added_tokens/0", "7", "key 'content' is missing"},
      {"/added_tokens/0/colour", "7", "the field 'colour', which is not known"},
      {"/colour", "7", "the key 'colour' is not known"},
      {"/added_tokens/0/id", "\"x\"", "token '<s>' has the id"},
      {"/added_tokens/0/id", "3", "id 3 is given to token '<s>'"},
      {"/added_tokens/0/content", "\"he\"", "in the vocabulary 256"},
      {"/normalizer", "{\"type\": \"BertNormalizer\"}", "normalizer BertNormalizer: this type cannot be read"},
      {"/normalizer", "{\"type\": \"NFC\", \"a\": 1}", "normalizer NFC: the field 'a' is not known"},
      {"/normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"?\"}", "is no base64"},
      {"/normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}", "map is damaged"},
      {"/pre_tokenizer", "{\"type\": \"UnicodeScripts\"}", "pre_tokenizer UnicodeScripts: this type cannot be read"},
      {"/pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"ab\"}", "not one character"},
      {"/pre_tokenizer", "{\"type\":\"Split\",\"behavior\":\"Dropped\",\"pattern\":{\"Regex\":\"x\"}}", "'Dropped'"},
      {"/pre_tokenizer", "{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(\"}}",
       "the regular expression '(' is wrong: end pattern with unmatched parenthesis"},
      {"/post_processor", "{\"type\": \"BertProcessing\"}", "post_processor BertProcessing: this type cannot be read"},
      {"/post_processor", "{\"type\": \"TemplateProcessing\", \"single\": []}", "no place for the text"},
      {"/decoder", "{\"type\": \"WordPiece\"}", "decoder WordPiece: this type cannot be read"},
  };
  for (const auto& c : cases) {
    Json j = small();
    j[Json::json_pointer(c.pointer)] = Json::parse(c.value);
    EXPECT_HAS(error_of(j), c.error);
  }
}

TEST_F(TokenizerFileTest, RejectsWhatWouldExhaustTheReader) {
  EXPECT_HAS(error_of("{\"model\": " + std::string(100000, '[') + std::string(100000, ']') + "}"), "nested");
  EXPECT_HAS(error_of(std::string("{\"model\": 1e999}")), "key 'model' is missing");
  Json j = small();
  Json steps = Json::array();
  for (int i = 0; i < 101; ++i) steps.push_back({{"type", "Digits"}});
  j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  EXPECT_HAS(error_of(j), "more than 100 steps");
}

TEST_F(TokenizerFileTest, EveryTruncationIsAnError) {
  const std::string whole = small().dump();
  for (size_t n = 0; n < whole.size(); n += 7) EXPECT_NE(error_of(whole.substr(0, n)), "no error") << n;
}

TEST_F(TokenizerFileTest, ReadsTheConfig) {
  const std::string config = folder_ + "/tokenizer_config.json";
  write_file(config, R"({"bos_token": {"content": "<s>"}, "eos_token": "hello"})");
  const auto t = load(small());
  EXPECT_EQ(t.bos_id(), 260);
  EXPECT_EQ(t.eos_id(), 259);
  write_file(config, R"({"eos_token": "absent"})");
  EXPECT_THROW(Tokenizer::load(folder_), Error);
  write_file(config, "[]");
  EXPECT_THROW(Tokenizer::load(folder_), Error);
}

TEST(Utf8, RepairsMaximalSubsequences) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(repair_utf8("a\xe2\x82z"), "a" + r + "z");
  EXPECT_EQ(repair_utf8("\xf0\x9f\x8c"), r);
  EXPECT_EQ(repair_utf8("\xc0\xaf"), r + r);
  EXPECT_EQ(repair_utf8("\xed\xa0\x80"), r + r + r);  // a surrogate
  EXPECT_EQ(repair_utf8("\xf4\x90\x80\x80"), r + r + r + r);
  EXPECT_TRUE(is_valid_utf8("\xf4\x8f\xbf\xbf"));
}

TEST(Utf8, NormalFormC) {
  EXPECT_EQ(normalize_nfc("cafe\xcc\x81 x"), "caf\xc3\xa9 x");
  EXPECT_EQ(normalize_nfc("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), "\xed\x95\x9c");  // Hangul
  EXPECT_EQ(normalize_nfc("a\xcc\x81\xcc\xa3"), "\xe1\xba\xa1\xcc\x81");             // marks are ordered first
  EXPECT_EQ(normalize_nfc("\xe2\x84\xab"), "\xc3\x85");                              // Angstrom sign
  EXPECT_EQ(normalize_nfc("\xcc\x81"), "\xcc\x81");
}

TEST(WordScanner, IsItsExpression) {
  for (const char* pattern : {
           R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+)"
           R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+)"
           R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+)"
           R"(|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       }) {
    const WordScanner* scanner = WordScanner::of(pattern);
    ASSERT_TRUE(scanner) << pattern;
    const OnigRegex regex(pattern, "here");
    const auto compare = [&](const std::string& text) {
      size_t at = 0;
      for (OnigRegex::Search s(regex, text); s.next(); at = s.end()) {
        ASSERT_EQ(s.begin(), at);
        ASSERT_EQ(scanner->end_of_word(text, at), s.end()) << pattern << " at " << at << " of " << shown(text);
      }
      ASSERT_EQ(at, text.size());
    };
    std::string all;
    for (char32_t c = 0; c < 0x110000; ++c) {
      if (c >= 0xd800 && c < 0xe000) continue;
      append_utf8(all, c);
      if (all.size() <= 4000) continue;
      compare(all);
      all.clear();
    }
    static constexpr char32_t kDrawn[] = {U' ', U' ',  U'\n', U'\r', U'\t', U'\'',  U'\'',  U's',
                                          U'S', 0x17f, U'l',  U'e',  U'r',  U'V',   U'1',   U'2',
                                          U'.', U'!',  0xe9,  0x301, 0xa0,  0x3000, 0x4e00, 0x661};
    Rng rng(1, "word scanner");
    for (int i = 0; i < 20000; ++i) {
      std::string text;
      for (uint64_t n = rng.below(12); n > 0; --n) append_utf8(text, kDrawn[rng.below(std::size(kDrawn))]);
      compare(text);
    }
  }
}

TEST(OnigRegexSearch, ReadsTheDialectOfTokenizers) {
  const auto all = [](const char* pattern, std::string_view text) {
    std::string found;
    const OnigRegex regex(pattern, "here");
    for (OnigRegex::Search s(regex, text); s.next();) found.append(text.substr(s.begin(), s.end() - s.begin())) += '|';
    return found;
  };
  EXPECT_EQ(all("[a-c&&[^b]]+", "abca"), "a|ca|");
  EXPECT_EQ(all("[[:punct:]]", "a_<+"), "_|<|+|");
  EXPECT_EQ(all("[]:punct[:alpha:]]+", "a:1"), "a:|");
  EXPECT_EQ(all("a*", "aab"), "aa||");
  EXPECT_EQ(all("\\w+", "e\xcc\x81 x"), "e\xcc\x81|x|");
  EXPECT_THROW(OnigRegex("[[:^punct:]]", "here"), Error);
}

TEST(RegexSearch, FindsGroupsAndGivesUpClearly) {
  const Regex r("^(\\w+): (\\d+)$", "here", true);
  EXPECT_EQ(r.groups(), 2);
  Regex::Search s(r, "a: 1\nb: x\nc: 22");
  ASSERT_TRUE(s.next());
  ASSERT_TRUE(s.next());
  EXPECT_EQ(s.begin(2), 13u);
  EXPECT_EQ(s.end(2), 15u);
  EXPECT_FALSE(s.next());
  EXPECT_FALSE(s.next());
  EXPECT_THROW(Regex("(", "here"), Error);
  EXPECT_THROW(Regex("\\C", "here"), Error);  // would leave a search inside a character
  const Regex slow("(a+)+b", "here");
  const std::string text(40, 'a');
  Regex::Search never(slow, text);
  try {
    EXPECT_FALSE(never.next());
  } catch (const Error& e) { EXPECT_HAS(std::string(e.what()), "gives up"); }
}

}  // namespace
}  // namespace jet
