#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/text/tokenizer.h"

namespace jet {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string field(int number, std::string_view bytes) {
  return varint(number * 8 + 2) + varint(bytes.size()) + std::string(bytes);
}
std::string field(int number, uint64_t value) { return varint(number * 8) + varint(value); }
std::string piece(std::string_view text, float score, int type = 1) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &score, 4);
  return field(1, field(1, text) + varint(2 * 8 + 5) + bytes + field(3, type));
}

class SentencePieceTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "jet_sentencepiece_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string pieces() {
    const std::string s = "\xe2\x96\x81";
    std::string all = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("ab", -1) +
                      piece("aba", -2) + piece(s + "a", -3) + piece("th", -4) + piece("the", -4) +
                      piece(s + "the", -5) + piece("bab", -2) + piece("<x>", 0, 4) + piece(s + s, 0, 4);
    float score = -10;
    for (const char* c : {"\xe2\x96\x81", "a", "b", "c", "t", "h", "e"}) all += piece(c, score--);
    return all;
  }
  static std::string bytes() {
    std::string all;
    for (int b = 0; b < 256; ++b) all += piece(fmt::format("<0x{:02X}>", b), 0, 6);
    return all;
  }
  Tokenizer load(const std::string& model) const {
    write_file(folder_ + "/tokenizer.model", model);
    return Tokenizer::load(folder_);
  }
  std::string error_of(const std::string& model) const {
    try {
      load(model);
    } catch (const Error& e) { return e.what(); }
    return "no error";
  }
  std::string folder_;
};

// What the sentencepiece package (0.2.0, 0.2.1) gives for these models.
TEST_F(SentencePieceTest, EncodesBpe) {
  const auto t = load(pieces() + field(2, field(3, 2)) + field(3, field(3, 1)));
  EXPECT_EQ(t.encode("ababab"), (Ids{12, 3, 3, 3}));
  EXPECT_EQ(t.encode("the  ab"), (Ids{8, 12, 3}));
  EXPECT_EQ(t.encode("  <x>abq q"), (Ids{12, 10, 3, 0, 12, 0}));
  EXPECT_EQ(t.decode({12, 3, 3, 3}), "ababab");
  EXPECT_EQ(t.decode({8, 12, 3}), "the ab");
  EXPECT_EQ(t.bytes_of(8), " the");
}

TEST_F(SentencePieceTest, EncodesBpeOfBytesWithSpacesKept) {
  const auto t = load(pieces() + bytes() + field(2, field(3, 2) + field(35, 1)) +
                      field(3, field(3, uint64_t{0}) + field(4, uint64_t{0})));
  EXPECT_EQ(t.encode("ababab"), (Ids{3, 3, 3}));
  EXPECT_EQ(t.encode("the  ab"), (Ids{7, 11, 3}));
  EXPECT_EQ(t.encode("  <x>abq q"), (Ids{11, 10, 3, 132, 12, 132}));
  EXPECT_EQ(t.decode({11, 10, 3, 132, 12, 132}), "  <x>abq q");
  EXPECT_EQ(t.bytes_of(132), "q");
}

TEST_F(SentencePieceTest, EncodesUnigram) {
  const auto t = load(pieces());
  EXPECT_EQ(t.encode("ababab"), (Ids{5, 9, 3}));
  EXPECT_EQ(t.encode("the  ab"), (Ids{8, 12, 3}));
  EXPECT_EQ(t.encode("  <x>abq q"), (Ids{12, 10, 3, 0, 12, 0}));
}

TEST_F(SentencePieceTest, UnusedPiecesOfBpeAreOnTheWayOnly) {
  const auto t =
      load(pieces() + piece("abab", -0.5, 5) + piece("ca", -0.1, 5) + piece("cab", -0.2, 5) + field(2, field(3, 2)));
  EXPECT_EQ(t.encode("abab"), (Ids{12, 3, 3}));
  EXPECT_EQ(t.encode("cabab"), (Ids{12, 15, 13, 14, 3}));
  EXPECT_EQ(t.encode("ababa cab"), (Ids{12, 3, 3, 13, 12, 15, 13, 14}));
  std::string text = "ca";
  Ids ids{12, 15, 13};
  for (int i = 0; i < 40; ++i) {  // longer than what is searched pair by pair
    text += "cab";
    ids.insert(ids.end(), {15, 13, 14});
  }
  EXPECT_EQ(t.encode(text), ids);
}

TEST_F(SentencePieceTest, DecodesSpacesAtTheFrontAndLooseBytes) {
  const auto both = load(pieces() + bytes() + field(2, field(35, 1)));
  EXPECT_EQ(both.decode({12, 11, 3}), " ab");
  EXPECT_EQ(both.decode({11, 3}), " ab");
  EXPECT_EQ(both.decode({12, 12, 12}), "");
  const auto adds = load(pieces() + field(3, field(4, uint64_t{0})));
  EXPECT_EQ(adds.decode({12, 11, 3}), "  ab");
  EXPECT_EQ(adds.decode({12, 12, 12}), "  ");
  const auto byte = [](int b) { return 19 + b; };
  EXPECT_EQ(both.decode({byte(0x3e), byte(0xc3), byte(0xa9), byte(0xa9)}), ">\xc3\xa9\xef\xbf\xbd");
  EXPECT_EQ(both.decode({byte(0xe2), byte(0x82), byte(0x41)}),
            "\xef\xbf\xbd\xef\xbf\xbd"
            "A");
}

TEST_F(SentencePieceTest, ControlPiecesAndEnds) {
  const auto t = load(pieces() + field(2, field(3, 2)));
  EXPECT_EQ(t.bos_id(), 1);
  EXPECT_EQ(t.eos_id(), 2);
  EXPECT_EQ(t.encode("a</s>a", true), (Ids{1, 5, 2, 5}));
  EXPECT_EQ(t.decode({1, 5, 2}, true), "a");
  write_file(folder_ + "/tokenizer_config.json",
             R"({"add_bos_token": false, "add_eos_token": true,
                 "added_tokens_decoder": {"19": {"content": "<new>", "special": true}}})");
  const auto added = load(pieces() + field(2, field(3, 2)));
  EXPECT_EQ(added.encode("a<new>", true), (Ids{5, 19, 2}));
}

TEST_F(SentencePieceTest, NamesTheDamage) {
  const std::string good = pieces();
  for (const auto& [model, error] : std::vector<std::pair<std::string, std::string>>{
           {"", "has no pieces"},
           {"\x0a\x7f", "a field of 127 bytes where 0 are left"},
           {good + piece("ab", 0), "the piece 'ab' stands twice"},
           {good + piece("zz", 0, 7), "unknown type 7"},
           {good + piece("<?>", 0, 2), "two unknown pieces"},
           {piece("a", 0), "no unknown piece"},
           {good + piece("\xff", 0), "no UTF-8"},
           {good + piece("<0x00>", 0, 6), "no byte of a byte fallback"},
           {good + field(2, field(3, 3)), "model type 3 cannot be read"},
           {good + field(2, field(24, 1)), "treat_whitespace_as_suffix"},
           {good + field(3, field(2, "abc")), "character map is damaged"},
           {good + piece("z!", -9) + field(2, field(3, 2)), "the piece 'z!' has a character that is no piece"},
       })
    EXPECT_NE(error_of(model).find(error), std::string::npos) << error_of(model);
  for (size_t n = 1; n < good.size(); n += 3) EXPECT_NO_FATAL_FAILURE(error_of(good.substr(0, n)));
}

}  // namespace
}  // namespace jet
