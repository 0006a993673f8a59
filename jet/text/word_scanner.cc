#include "jet/text/word_scanner.h"

#include <algorithm>

#include "jet/text/unicode.h"

namespace jet {
namespace {

constexpr WordScanner kScanners[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", true, false, 1},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+)"
     R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     false, false, 1},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+)"
     R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     false, false, 3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+)"
     R"(|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     false, true, 1},
};

struct Char {
  CharClass kind = CharClass::other;
  size_t length = 0;  // 0 at the end of the text
};

Char char_at(std::string_view text, size_t at) {
  if (at >= text.size()) return {};
  if (static_cast<unsigned char>(text[at]) < 0x80) return {char_class(static_cast<unsigned char>(text[at])), 1};
  const int n = utf8_length(text, at);
  return {char_class(utf8_code_point(text, at, n)), static_cast<size_t>(n)};
}

/// The end of the run of code points from `at` on that `belongs` takes.
template <class Belongs>
size_t run(std::string_view text, size_t at, Belongs&& belongs) {
  for (Char c = char_at(text, at); c.length > 0 && belongs(c.kind); c = char_at(text, at)) at += c.length;
  return at;
}

bool is_line_end(std::string_view text, size_t at) {
  return at < text.size() && (text[at] == '\r' || text[at] == '\n');
}

/// The length of 's, 't, 're, 've, 'm, 'll or 'd at `at`, 0 where there is none.
size_t contraction(std::string_view text, size_t at, bool any_case) {
  if (text[at] != '\'' || at + 1 >= text.size()) return 0;
  const auto letter = [&](size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  const char a = letter(at + 1), b = letter(at + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return any_case && text.substr(at + 1).starts_with("\xc5\xbf") ? 3 : 0;  // U+017F, the long s
}

/// `\s+(?!\S)|\s+`, and before it `\s*[\r\n]+` with `lines`: a run of white space ends with its last line, or else
/// leaves its last character to the word that follows.
size_t end_of_space(std::string_view text, size_t at, bool lines) {
  size_t end = at, last = at, after_line = 0;
  for (Char c = char_at(text, at); c.kind == CharClass::space; c = char_at(text, end)) {
    last = end;
    if (is_line_end(text, end)) after_line = end + 1;
    end += c.length;
  }
  if (lines && after_line > 0) return after_line;
  return end == text.size() || last == at ? end : last;
}

}  // namespace

const WordScanner* WordScanner::of(std::string_view wanted) {
  for (const auto& s : kScanners)
    if (s.pattern == wanted) return &s;
  return nullptr;
}

size_t WordScanner::end_of_word(std::string_view text, size_t at) const {
  if (const size_t n = contraction(text, at, !gpt2)) return at + n;
  const auto is_letter = [this](CharClass c) { return c == CharClass::letter || (marks && c == CharClass::mark); };
  const auto is_number = [](CharClass c) { return c == CharClass::number; };
  const auto is_other = [&](CharClass c) { return !is_letter(c) && !is_number(c) && c != CharClass::space; };
  const Char first = char_at(text, at);
  if (is_letter(first.kind)) return run(text, at + first.length, is_letter);
  if (!gpt2 && !is_number(first.kind) && !is_line_end(text, at)) {
    const size_t end = run(text, at + first.length, is_letter);
    if (end > at + first.length) return end;
  }
  const size_t inner = at + (text[at] == ' ' ? 1 : 0);
  const Char second = inner > at ? char_at(text, inner) : first;
  if (gpt2 && second.length > 0 && second.kind != CharClass::space)
    return is_letter(second.kind)   ? run(text, inner, is_letter)
           : is_number(second.kind) ? run(text, inner, is_number)
                                    : run(text, inner, is_other);
  if (is_number(first.kind)) {
    size_t end = at, digits = 0;
    for (Char c = first; is_number(c.kind) && digits < most_digits; c = char_at(text, end), ++digits) end += c.length;
    return end;
  }
  if (second.length > 0 && is_other(second.kind)) {
    size_t end = run(text, inner, is_other);
    while (is_line_end(text, end)) ++end;
    return end;
  }
  return end_of_space(text, at, !gpt2);
}

}  // namespace jet
