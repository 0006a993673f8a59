#include "jet/eval/math_answer.h"

#include <gtest/gtest.h>

namespace jet {
namespace {

// What lm-evaluation-harness 0.4.13 says of each pair (tasks/hendrycks_math/utils.py, is_equiv).
TEST(MathAnswer, IsComparedAsTheHarnessDoes) {
  struct Pair {
    const char *a, *b;
    bool same;
  };
  const Pair pairs[] = {
      {"\\dfrac12", "1/2", true},
      {"\\tfrac{1}{2}", "0.5", true},
      {"x = 5", "5", true},
      {"\\frac1{72}", "\\frac{1}{72}", true},
      {"\\sqrt3", "\\sqrt{3}", true},
      {"5 \\text{ cm}", "5", true},
      {"90^\\circ", "90", true},
      {"90^{\\circ}", "90", true},
      {"50\\%", "50", true},
      {"\\$5", "5", true},
      {"\\left(1, 2\\right)", "(1,2)", true},
      {".5", "0.5", true},
      {"{.5}", "{0.5}", true},
      {"2\n5", "25", true},
      {"-3/4", "\\frac{-3}{4}", true},
      {"0/4", "\\frac{0}{4}", true},
      {"\\frac{1}{2}x\\frac34", "\\frac12x\\frac{3}{4}", true},
      {"3/4/5", "3/4/5", true},
      {"", "", true},
      {"xyz = 5", "5", false},
      {"a=b=c", "c", false},
      {"03/4", "3/4", false},
      {"+3/4", "3/4", false},
      {"1_0/2", "10/2", false},
      {"-0/4", "0/4", false},
      {"\\frac\\pi2", "\\frac{\\pi}{2}", false},
      {"a/b", "\\frac{a}{b}", false},
      {"a/b", "a/b", true},
      {"\\sqrt", "sqrt", false},
      {"\\sqrt", "\\sqrt", true},
      {"\\frac", "\\frac", true},
      {"\\frac1", "\\frac1", true},
      {"\\frac1", "\\frac{1}", false},
      {"1 \\text{ a} \\text{ b}", "1", false},
  };
  for (const auto& [a, b, same] : pairs) EXPECT_EQ(same_math(a, b), same) << a << " and " << b;
}

TEST(MathAnswer, StandsInTheLastBox) {
  EXPECT_EQ(boxed_answer("so \\boxed{1} and \\boxed{\\frac{1}{2}}."), "\\frac{1}{2}");
  EXPECT_EQ(boxed_answer("is $\\boxed 5$ it"), "5");
  EXPECT_EQ(boxed_answer("\\fbox{3}"), "3");
  EXPECT_EQ(boxed_answer("no"), std::nullopt);
  EXPECT_EQ(boxed_answer("\\boxed{1"), std::nullopt);
}

}  // namespace
}  // namespace jet
