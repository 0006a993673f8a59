#include "jet/text/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "jet/text/utf8.h"

namespace jet::jinja {
namespace {

int category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(code(c))); }

bool same(char32_t a, char32_t b) { return code(a) == code(b); }

/// The capitals of one character: some letters have two (sharp s, ligatures).
Text upper_of(char32_t c) {
  const auto plain = static_cast<utf8proc_int32_t>(code(c));
  if (plain < 128) return Text(1, plain >= 'a' && plain <= 'z' ? c - 32 : c);
  Text made;
  if (category(c) == UTF8PROC_CATEGORY_LL) {
    utf8proc_int32_t folded[8];
    int boundary = 0;
    const auto n = utf8proc_decompose_char(plain, folded, 8, UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; n > 1 && n <= 8 && i < n; ++i)
      made += as_of(static_cast<char32_t>(utf8proc_toupper(folded[i])), c);
  }
  if (made.empty()) made += as_of(static_cast<char32_t>(utf8proc_toupper(plain)), c);
  return made;
}

constexpr char32_t kSigma = 0x3a3, kFinalSigma = 0x3c2, kDottedI = 0x130, kDotAbove = 0x307;

Text lower_of(const Text& text, size_t at) {
  const char32_t c = text[at];
  if (code(c) == kDottedI) return {as_of('i', c), as_of(kDotAbove, c)};
  const bool ends_word = at > 0 && is_letter(text[at - 1]) && (at + 1 == text.size() || !is_letter(text[at + 1]));
  if (code(c) == kSigma && ends_word) return Text(1, as_of(kFinalSigma, c));
  return Text(1, as_of(to_lower(code(c)), c));
}

size_t shared_begin(const Text& a, const Text& b) {
  return std::mismatch(a.begin(), a.begin() + static_cast<int64_t>(std::min(a.size(), b.size())), b.begin(), same)
             .first -
         a.begin();
}

}  // namespace

Text text_from(std::string_view utf8, char32_t mark) {
  Text text;
  text.reserve(utf8.size());
  for (size_t at = 0;;) {
    for (const size_t end = at + ascii_length(utf8, at); at < end; ++at) text += static_cast<char32_t>(utf8[at]) | mark;
    if (at == utf8.size()) break;
    int bad = 0;
    const int n = utf8_length(utf8, at, &bad);
    text += (n > 0 ? utf8_code_point(utf8, at, n) : 0xfffd) | mark;
    at += n > 0 ? n : bad;
  }
  return text;
}

std::string utf8_from(const Text& text) {
  std::string utf8;
  utf8.reserve(text.size());
  for (const char32_t marked : text) {
    const char32_t c = code(marked);
    append_utf8(utf8, c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c);
  }
  return utf8;
}

Text unmarked(Text text) {
  for (char32_t& c : text) c = code(c);
  return text;
}

bool is_equal(const Text& a, const Text& b) { return a.size() == b.size() && shared_begin(a, b) == a.size(); }

int order(const Text& a, const Text& b) {
  const size_t n = shared_begin(a, b);
  if (n < a.size() && n < b.size()) return code(a[n]) < code(b[n]) ? -1 : 1;
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

// Knuth, Morris and Pratt: `border[i]` is the longest proper beginning of part[0..i] that also ends it.
std::vector<size_t> find_all(const Text& text, const Text& part, int64_t most) {
  std::vector<size_t> found;
  const auto more = [&] { return most < 0 || static_cast<int64_t>(found.size()) < most; };
  if (part.empty()) {
    for (size_t i = 0; i <= text.size() && more(); ++i) found.push_back(i);
    return found;
  }
  std::vector<size_t> border(part.size());
  for (size_t i = 1, k = 0; i < part.size(); ++i) {
    while (k > 0 && !same(part[i], part[k])) k = border[k - 1];
    border[i] = k += same(part[i], part[k]);
  }
  for (size_t i = 0, k = 0; i < text.size() && more(); ++i) {
    while (k > 0 && !same(text[i], part[k])) k = border[k - 1];
    k += same(text[i], part[k]);
    if (k < part.size()) continue;
    found.push_back(i + 1 - k);
    k = 0;
  }
  return found;
}

std::optional<size_t> find_first(const Text& text, const Text& part) {
  const auto found = find_all(text, part, 1);
  return found.empty() ? std::nullopt : std::optional(found[0]);
}

bool starts_with(const Text& text, const Text& part) { return shared_begin(text, part) == part.size(); }
bool ends_with(const Text& text, const Text& part) {
  return part.size() <= text.size() && is_equal(text.substr(text.size() - part.size()), part);
}

bool is_space(char32_t c) { return is_white_space(code(c)) || (code(c) >= 0x1c && code(c) <= 0x1f); }
bool is_printable(char32_t c) {
  const int of = category(c);
  const bool separates = of == UTF8PROC_CATEGORY_ZL || of == UTF8PROC_CATEGORY_ZP || of == UTF8PROC_CATEGORY_ZS;
  return code(c) == ' ' || !(separates || of == UTF8PROC_CATEGORY_CN || of >= UTF8PROC_CATEGORY_CC);
}

Text stripped(const Text& text, Side side, const std::optional<Text>& set) {
  const Text chosen = set ? unmarked(*set) : Text();
  const auto goes = [&](char32_t c) { return set ? chosen.find(code(c)) != Text::npos : is_space(c); };
  size_t begin = 0, end = text.size();
  while (side != Side::right && begin < end && goes(text[begin])) ++begin;
  while (side != Side::left && begin < end && goes(text[end - 1])) --end;
  return text.substr(begin, end - begin);
}

std::vector<Text> split(const Text& text, const std::optional<Text>& separator, int64_t most, bool from_right) {
  if (from_right) {  // the same, in a mirror
    const auto mirrored = [](const Text& t) { return Text(t.rbegin(), t.rend()); };
    auto parts = split(mirrored(text), separator ? std::optional(mirrored(*separator)) : std::nullopt, most, false);
    for (Text& part : parts) part = mirrored(part);
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  std::vector<Text> parts;
  size_t at = 0;
  if (separator) {
    for (const size_t found : find_all(text, *separator, most)) {
      parts.push_back(text.substr(at, found - at));
      at = found + separator->size();
    }
    parts.push_back(text.substr(at));
    return parts;
  }
  while (true) {
    while (at < text.size() && is_space(text[at])) ++at;
    if (at == text.size()) return parts;
    size_t end = at;
    while (end < text.size() && !is_space(text[end])) ++end;
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(stripped(text.substr(at), Side::right));
      return parts;
    }
    parts.push_back(text.substr(at, end - at));
    at = end;
  }
}

std::vector<Text> split_lines(const Text& text) {
  std::vector<Text> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const auto ends = [](char32_t c) {
      return (c >= 0xa && c <= 0xd) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
    };
    while (end < text.size() && !ends(code(text[end]))) ++end;
    lines.push_back(text.substr(at, end - at));
    const bool both = end + 1 < text.size() && code(text[end]) == '\r' && code(text[end + 1]) == '\n';
    at = end + (both ? 2 : 1);
  }
  return lines;
}

Text replaced(const Text& text, const Text& from, const Text& to, int64_t most) {
  Text made;
  size_t at = 0;
  for (const size_t found : find_all(text, from, most)) {
    made.append(text, at, found - at).append(to);
    at = found + from.size();
  }
  return made.append(text, at);
}

Text upper(const Text& text) {
  Text made;
  for (const char32_t c : text) made += upper_of(c);
  return made;
}
Text lower(const Text& text) {
  Text made;
  for (size_t i = 0; i < text.size(); ++i) made += lower_of(text, i);
  return made;
}
Text title(const Text& text) {
  Text made;
  for (size_t i = 0; i < text.size(); ++i)
    made += i > 0 && is_letter(text[i - 1]) ? lower_of(text, i) : upper_of(text[i]);
  return made;
}
Text capitalized(const Text& text) { return text.empty() ? text : upper_of(text[0]) + lower(text.substr(1)); }
bool is_upper(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LU || category(c) == UTF8PROC_CATEGORY_LT; }
bool is_lower(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LL; }
bool is_letter(char32_t c) { return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO; }
bool is_digit(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

}  // namespace jet::jinja
