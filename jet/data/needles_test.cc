#include "jet/data/needles.h"

#include <gtest/gtest.h>

#include <set>

#include "jet/base/error.h"
#include "jet/base/file.h"

namespace jet {
namespace {

const Tokenizer& counter() {
  static const Tokenizer t = Tokenizer::load("models/base");
  return t;
}

int times(const std::string& text, const std::string& part) {
  int n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Needles, FillTheLengthAndHoldTheirAnswers) {
  const std::string text = read_file("data/train/stories.txt");
  const std::map<std::string, std::pair<int, int>> facts_and_answers = {
      {"single_1", {1, 1}},   {"single_2", {1, 1}},   {"single_3", {1, 1}},   {"multikey_1", {4, 1}},
      {"multikey_2", {0, 1}}, {"multikey_3", {0, 1}}, {"multivalue", {4, 4}}, {"multiquery", {4, 4}}};
  EXPECT_EQ(facts_and_answers.size(), needle_kinds(true).size());
  for (const auto& [kind, counts] : facts_and_answers) {
    std::set<std::string> inputs;
    for (const int64_t length : {1024, 3000}) {
      const auto items = needles({.kind = kind, .text = text, .max_length = length, .items = 7}, counter());
      ASSERT_EQ(items.size(), 7u);
      for (const Json& item : items) {
        const std::string input = item.at("input");
        const int64_t tokens = std::ssize(counter().encode(input)) + 128;
        EXPECT_EQ(item.at("length"), tokens);
        EXPECT_LE(tokens, length) << kind;
        EXPECT_GT(tokens, length - length / 8) << kind;
        const int facts = times(input, "One of the special magic ");
        EXPECT_TRUE(facts == counts.first || (counts.first == 0 && facts > 8)) << kind << " has " << facts;
        EXPECT_EQ(item.at("outputs").size(), counts.second);
        for (const std::string answer : item.at("outputs")) EXPECT_EQ(times(input, " is: " + answer + "."), 1);
        // The key that is asked for stands in its facts and in the question.
        const std::string prefix = item.at("gen_prefix");
        EXPECT_TRUE(prefix.ends_with(counts.second > 1 ? " are" : " is"));
        EXPECT_EQ(times(input, prefix.substr(4, prefix.rfind(' ') - 4)), 1) << prefix;
        inputs.insert(input);
      }
    }
    EXPECT_EQ(inputs.size(), 14u);
  }
}

TEST(Needles, AreTheSameAgain) {
  const NeedleOptions o{.kind = "multikey_2", .text = "", .max_length = 512, .items = 3};
  EXPECT_EQ(needles(o, counter()), needles(o, counter()));
  NeedleOptions other = o;
  other.seed = 43;
  EXPECT_NE(needles(o, counter()), needles(other, counter()));
}

TEST(Needles, SayWhatTheyLack) {
  const auto asked = [](const char* kind, const std::string& text, int64_t length) {
    return needles({.kind = kind, .text = text, .max_length = length, .items = 1}, counter());
  };
  EXPECT_THROW(asked("single_4", "", 1024), Error);
  EXPECT_THROW(asked("single_2", "", 1024), Error);
  EXPECT_THROW(asked("multivalue", "One. Two!", 1024), Error);
  EXPECT_THROW(asked("single_2", "\" \" \"", 1024), Error);
  EXPECT_THROW(asked("single_1", "", 140), Error);
  EXPECT_THROW(asked("single_2", "It rained. He slept. She sang.", 4096), Error);  // shorter than what is asked for
}

}  // namespace
}  // namespace jet
