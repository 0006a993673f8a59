// The expressions by which GPT-2, GPT-4, Llama 3, Qwen 2 and their kin cut text into words, by hand: most of the hub
// uses one of them, and Oniguruma takes longer for them than all that comes after.
//
//   bytes    's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?[^sLN]+|\s+(?!\S)|\s+
//   others   (?i:'s|'t|...)|[^\r\nLN]?A+|N{1,k}| ?[^sAN]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+      A: L, or L and M
//
// Each cuts any text without a rest: one match begins where the last one ended. word_scanner_test.cc proves them equal
// to the expressions.
#pragma once

#include <cstddef>
#include <string_view>

namespace jet {

class WordScanner {
 public:
  /// The scanner of an expression, null where there is none for it.
  static const WordScanner* of(std::string_view pattern);
  /// Where the match that begins at `at` ends; at < text.size(), and text is valid UTF-8.
  size_t end_of_word(std::string_view text, size_t at) const;

  std::string_view pattern;
  bool gpt2 = false;       // the first of the two forms above
  bool marks = false;      // A has marks
  size_t most_digits = 1;  // k
};

}  // namespace jet
