// Strings of templates: code points, as Python's are. The top bit of each says whose it is:
//
//   31                                   30 .. 21   20 ....... 0
//   1: came from outside (a message)     0          code point
//   0: stands in the template
//
// What is cut, changed or joined carries the bit along, so that the rendered text still knows which of its characters
// a user wrote. Everything that compares looks at code() alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jet::jinja {

using Text = std::u32string;
inline constexpr char32_t kForeign = 0x80000000;

constexpr char32_t code(char32_t c) { return c & ~kForeign; }
constexpr char32_t as_of(char32_t c, char32_t like) { return c | (like & kForeign); }

/// Invalid bytes become U+FFFD; `mark` is 0 or kForeign.
Text text_from(std::string_view utf8, char32_t mark = 0);
std::string utf8_from(const Text& text);
/// The text as the template's own: for comparing.
Text unmarked(Text text);

bool is_equal(const Text& a, const Text& b);
int order(const Text& a, const Text& b);
/// Where `part` stands in `text`, without overlaps, at most `most` places (-1: all); an empty part stands everywhere.
/// Linear time.
std::vector<size_t> find_all(const Text& text, const Text& part, int64_t most = -1);
std::optional<size_t> find_first(const Text& text, const Text& part);
bool starts_with(const Text& text, const Text& part);
bool ends_with(const Text& text, const Text& part);

/// Python's str.isspace, which is White_Space and four control characters.
bool is_space(char32_t c);
bool is_printable(char32_t c);

enum class Side { left, right, both };
/// Without the characters of `set` (white space where there is none) at its ends.
Text stripped(const Text& text, Side side, const std::optional<Text>& set = {});
/// At `separator`, or at runs of white space; at most `most` cuts (-1: all), from the left or the right.
std::vector<Text> split(const Text& text, const std::optional<Text>& separator, int64_t most, bool from_right);
std::vector<Text> split_lines(const Text& text);
Text replaced(const Text& text, const Text& from, const Text& to, int64_t most);

Text upper(const Text& text);
Text lower(const Text& text);
/// Python's str.title: every run of letters begins with a capital.
Text title(const Text& text);
Text capitalized(const Text& text);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_letter(char32_t c);
bool is_digit(char32_t c);

}  // namespace jet::jinja
