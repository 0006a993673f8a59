// What tokenizers ask of Unicode: normal forms, lower case, classes of code points.
#pragma once

#include <string>
#include <string_view>

#include "jet/text/utf8.h"

namespace jet {

enum class NormalForm { c, d, kc, kd };

/// `text` (valid UTF-8) in a normal form of Unicode.
std::string to_normal_form(std::string_view text, NormalForm form);

/// Appends the lower case of one code point: U+0130 has two.
void append_lower(std::string& out, char32_t c);

/// General categories: L, M, Nd or Pc; M; Nd, Nl or No; P, or punctuation of ASCII (which has symbols, too).
bool is_word_by_category(char32_t c);
bool is_mark(char32_t c);
bool is_numeric(char32_t c);
bool is_punctuation(char32_t c);

/// What the word scanner (word_scanner.h) sorts code points by: L, M, N, white space, the rest.
enum class CharClass : unsigned char { letter, mark, number, space, other };
CharClass char_class(char32_t c);

/// Calls use(c, at, length) for every code point of valid UTF-8.
template <class Use>
void for_each_code_point(std::string_view text, Use&& use) {
  for (size_t at = 0; at < text.size();) {
    const auto length = static_cast<size_t>(utf8_length(text, at));
    use(utf8_code_point(text, at, static_cast<int>(length)), at, length);
    at += length;
  }
}

}  // namespace jet
