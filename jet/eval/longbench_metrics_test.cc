#include "jet/eval/longbench_metrics.h"

#include <gtest/gtest.h>

#include "jet/base/error.h"

namespace jet {
namespace {

struct Case {
  std::string text, answer;
  double value;
};

// Values: lm-evaluation-harness 0.4.13, tasks/longbench/metrics.py, with rouge 1.0.1 and fuzzywuzzy 0.18 on difflib.
TEST(LongBenchMetrics, SummariesAreTheHarnesses) {
  const Case cases[] = {
      {"The cat sat on the mat. It slept.", "A cat sat on a mat. Then it slept all day.", 0.5263157845983379},
      {"", "a", 0},
      {".", "a", 0},
      {"same words here", "same words here", 0.999999995},
      {"a b c d. e f", "d c b a. f e x", 0.3076923027218935},
      {"one. . two", "one two. three", 0.6666666616666668},
      {"the the the", "the cat the", 0.6666666622222223},
      {"x", "y", 0},
      {"w1 w2 w6 w7 w8. w1 w3 w8 w9 w5", "w1 w2 w3 w4 w5", 0.6153846106508877},
  };
  for (const auto& c : cases) EXPECT_NEAR(rouge_l(c.text, c.answer), c.value, 1e-12) << c.text;
}

TEST(LongBenchMetrics, CodeIsTheHarnesses) {
  const auto letters = [](int count, int step, int of, char first) {
    std::string s;
    for (int i = 0; i < count; ++i) s += static_cast<char>(first + i * step % of);
    return s;
  };
  const std::string a = letters(240, 7, 90, '!');
  const std::string b = letters(100, 7, 90, '!') + "xyzxyzxyz" + letters(150, 11, 90, '!');
  const Case cases[] = {
      {"return x + 1\n", "return x+1", 0.91},
      {"# remark\n\nfoo(a, b)", "foo(b, a)", 0.78},
      {"```python\nx", "x", 1},
      {"", "", 1},
      {"", "a", 0},
      {"a = b // c\nd", "d", 1},
      {"abcabc", "cabcab", 0.83},
      {"    int \xc3\xa9 = 0;", "int e = 1;", 0.67},
      {"  \n\t\nx=1", "x=2", 0.67},
      {letters(230, 1, 7, 'a'), letters(240, 3, 7, 'a') + "zzq", 0},  // every character is popular
  };
  for (const auto& c : cases) EXPECT_DOUBLE_EQ(code_similarity(c.text, c.answer), c.value) << c.text;
  // Both hold marks of remarks; these are told apart by their letters alone.
  std::string plain_a = a, plain_b = b;
  for (std::string* s : {&plain_a, &plain_b})
    std::erase_if(*s, [](char c) { return c == '#' || c == '`' || c == '/'; });
  EXPECT_DOUBLE_EQ(code_similarity(plain_a, plain_b), 0.42);
  EXPECT_DOUBLE_EQ(code_similarity(plain_b, plain_a), 0.42);
}

TEST(LongBenchMetrics, NumbersAndClassesAreTheHarnesses) {
  EXPECT_EQ(paragraph_found("Paragraph 3", "Paragraph 3"), 1);
  EXPECT_EQ(paragraph_found("3 or 4", "Paragraph 3"), 0.5);
  EXPECT_EQ(paragraph_found("none", "Paragraph 3"), 0);
  EXPECT_EQ(paragraph_found("33", "Paragraph 3"), 0);
  EXPECT_THROW(paragraph_found("3", "3"), Error);
  EXPECT_EQ(share_of_numbers("12 of 13", "12"), 0.5);
  EXPECT_EQ(share_of_numbers("", "5"), 0);
  const std::vector<std::string> classes = {"City", "State", "Other location", "Other", "location"};
  EXPECT_EQ(class_named("City or State", "State", classes), 0.5);
  EXPECT_EQ(class_named("Other location", "Other location", classes), 0.5);
  EXPECT_EQ(class_named("Other", "Other location", classes), 0);
  EXPECT_EQ(class_named("none", "City", classes), 0);
}

}  // namespace
}  // namespace jet
