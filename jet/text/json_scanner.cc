#include "jet/text/json_scanner.h"

#include "jet/base/error.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr int kDeepest = 200;

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

void JsonScanner::damaged() const { fail("{}: not valid JSON at byte {}", where_, at_ + 1); }

char JsonScanner::peek() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonScanner::expect(char c) {
  if (!accept(c)) damaged();
}

std::string_view JsonScanner::string() {
  expect('"');
  const size_t begin = at_;
  unsigned char high = 0;
  for (;; ++at_) {
    if (at_ >= text_.size()) damaged();
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') break;
    if (c == '\\') return escaped(begin);
    if (c < 32) damaged();
    high |= c;
  }
  const std::string_view s = text_.substr(begin, at_++ - begin);
  if (high >= 128 && !is_valid_utf8(s)) damaged();
  return s;
}

/// The rest of a string from its first backslash on, which is at at_.
std::string_view JsonScanner::escaped(size_t begin) {
  std::string& s = unescaped_.emplace_back(text_.substr(begin, at_ - begin));
  for (;;) {
    if (at_ >= text_.size() || static_cast<unsigned char>(text_[at_]) < 32) damaged();
    const char c = text_[at_++];
    if (c == '"') break;
    if (c != '\\') {
      s += c;
      continue;
    }
    static constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    const char name = at_ < text_.size() ? text_[at_++] : '\0';
    if (name != 'u') {
      const size_t i = name == '\0' ? kNames.npos : kNames.find(name);
      if (i == kNames.npos) damaged();
      s += kValues[i];
      continue;
    }
    char32_t code = code_unit();
    if (code >= 0xdc00 && code < 0xe000) damaged();
    if (code >= 0xd800 && code < 0xdc00) {
      if (text_.substr(at_, 2) != "\\u") damaged();
      at_ += 2;
      const char32_t low = code_unit();
      if (low < 0xdc00 || low >= 0xe000) damaged();
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(s, code);
  }
  if (!is_valid_utf8(s)) damaged();
  return s;
}

/// Four hexadecimal digits.
char32_t JsonScanner::code_unit() {
  char32_t code = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) damaged();
    code = code << 4 | static_cast<char32_t>(digit);
  }
  return code;
}

std::string_view JsonScanner::scalar() {
  peek();
  const size_t begin = at_;
  const auto ends = [](char c) {
    return c == ',' || c == '}' || c == ']' || c == ':' || c == '[' || c == '{' || c == '"' || is_blank(c);
  };
  while (at_ < text_.size() && !ends(text_[at_])) ++at_;
  if (at_ == begin) damaged();
  return text_.substr(begin, at_ - begin);
}

void JsonScanner::skip_string() {
  for (++at_;; ++at_) {
    if (at_ >= text_.size()) damaged();
    if (text_[at_] == '"') break;
    if (text_[at_] == '\\') ++at_;
  }
  ++at_;
}

std::string_view JsonScanner::skip() {
  std::string open;
  if (peek() == '\0') damaged();
  const size_t begin = at_;
  do {
    const char c = peek();
    if (c == '"') {
      skip_string();
    } else if (c == '{' || c == '[') {
      open += c == '{' ? '}' : ']';
      if (open.size() > kDeepest) fail("{}: JSON nested deeper than {}", where_, kDeepest);
      ++at_;
    } else if (c == '}' || c == ']') {
      if (open.empty() || open.back() != c) damaged();
      open.pop_back();
      ++at_;
    } else if (c == ',' || c == ':') {
      if (open.empty()) damaged();
      ++at_;
    } else {
      scalar();
    }
  } while (!open.empty());
  return text_.substr(begin, at_ - begin);
}

}  // namespace jet
