#include "jet/text/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "jet/text/jinja/jinja.h"
#include "jet/text/utf8.h"

namespace jet::jinja {
namespace {

Text normalized(std::string_view source) {
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (text.ends_with('\n')) text.pop_back();
  return text_from(text);
}

bool begins_name(char32_t c) { return c == '_' || (is_word_character(c) && !is_digit(c)); }

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& where) : s_(normalized(source)), where_(where) {}

  std::vector<Token> run() {
    while (at_ < s_.size()) {
      size_t open = at_;
      while (open < s_.size() && !(s_[open] == '{' && one_of(open + 1, U"{%#"))) ++open;
      if (open == s_.size()) {
        data(open, open, U' ');
        break;
      }
      tag(open);
    }
    add(Token::end, "end of template");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void wrong(const std::string& message) const { throw TemplateError(where_, line_, message); }
  bool one_of(size_t at, const Text& set) const { return at < s_.size() && set.find(s_[at]) != Text::npos; }
  bool has(size_t at, const Text& part) const { return s_.compare(at, part.size(), part) == 0; }
  void add(Token::Kind kind, std::string word, Value value = {}) {
    tokens_.push_back({kind, line_, std::move(word), std::move(value)});
  }
  void move_to(size_t at) {
    line_ += static_cast<int>(std::count(s_.begin() + at_, s_.begin() + at, U'\n'));
    at_ = at;
  }
  size_t after_space(size_t at) const {
    while (at < s_.size() && is_space(s_[at])) ++at;
    return at;
  }

  /// The data up to a tag at `open`, cut as the tag says: `sign` is -, + or what strips blanks where it is a block.
  void data(size_t open, size_t next, char32_t sign, bool is_block = false) {
    Text text = s_.substr(at_, open - at_);
    if (sign == '-') {
      text = stripped(text, Side::right);
    } else if (sign != '+' && is_block) {
      const size_t newline = text.rfind('\n'), begin = newline == Text::npos ? 0 : newline + 1;
      const bool first_in_line = newline != Text::npos || begins_line_;
      if (first_in_line && std::all_of(text.begin() + begin, text.end(), is_space)) text.erase(begin);
    }
    if (!text.empty()) add(Token::data, "data", std::move(text));
    move_to(open);
    move_to(next);
  }

  /// What follows the sign and the closing delimiter at `at`: where the text goes on.
  size_t closed(size_t at, bool trims_newline) {
    const char32_t sign = one_of(at, U"-+") ? s_[at] : U' ';
    size_t next = at + (sign == ' ' ? 2 : 3);
    if (sign == '-') {
      next = after_space(next);
    } else if (sign != '+' && trims_newline && one_of(next, U"\n")) {
      ++next;
    }
    begins_line_ = s_[next - 1] == '\n';
    return next;
  }

  void tag(size_t open) {
    const char32_t kind = s_[open + 1];
    const size_t inside = open + (one_of(open + 2, U"-+") ? 3 : 2);
    const char32_t sign = inside == open + 3 ? s_[open + 2] : U' ';
    data(open, inside, sign, kind != '{');
    if (kind == '#') return comment();
    if (kind == '%') {
      const size_t word = after_space(at_), end = has(word, U"raw") ? after_space(word + 3) : s_.size();
      if (has(end, U"%}") || has(end, U"-%}")) return raw(closed(end, false));
    }
    add(kind == '{' ? Token::print_begin : Token::block_begin, "begin of tag");
    expression(kind == '{');
  }

  void comment() {
    const size_t end = s_.find(U"#}", at_);
    if (end == Text::npos) wrong("Missing end of comment tag");
    move_to(closed(end > at_ && one_of(end - 1, U"-+") ? end - 1 : end, true));
  }

  void raw(size_t begin) {
    move_to(begin);
    for (size_t open = s_.find(U"{%", at_); open != Text::npos; open = s_.find(U"{%", open + 1)) {
      const bool is_signed = one_of(open + 2, U"-+");
      const size_t word = after_space(open + (is_signed ? 3 : 2)),
                   end = has(word, U"endraw") ? after_space(word + 6) : 0;
      if (end == 0 || !(has(end, U"%}") || has(end, U"-%}") || has(end, U"+%}"))) continue;
      data(open, end, is_signed ? s_[open + 2] : U' ', true);
      return move_to(closed(end, true));
    }
    wrong("Missing end of raw directive");
  }

  void expression(bool is_print) {
    std::string open;  // brackets
    const Text close = is_print ? U"}}" : U"%}";
    while (true) {
      move_to(after_space(at_));
      if (at_ == s_.size()) return;  // the parser tells what is missing
      const bool is_signed = s_[at_] == '-' || (s_[at_] == '+' && !is_print);
      if (open.empty() && has(at_ + is_signed, close)) {
        add(is_print ? Token::print_end : Token::block_end,
            is_print ? "end of print statement" : "end of statement block");
        return move_to(closed(at_, !is_print));
      }
      if (is_digit(s_[at_]) && s_[at_] < 128) {
        number();
      } else if (begins_name(s_[at_])) {
        const size_t begin = at_;
        while (at_ < s_.size() && (begins_name(s_[at_]) || is_word_character(s_[at_]))) ++at_;
        add(Token::name, utf8_from(s_.substr(begin, at_ - begin)));
      } else if (one_of(at_, U"'\"")) {
        text();
      } else {
        sign(open);
      }
    }
  }

  void sign(std::string& open) {
    static constexpr const char* kSigns[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[",
                                             "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string word : kSigns) {
      if (!has(at_, text_from(word))) continue;
      const size_t opens = std::string("([{").find(word), closes = std::string(")]}").find(word);
      if (opens != std::string::npos) open += ")]}"[opens];
      if (closes != std::string::npos) {
        if (open.empty()) wrong(fmt::format("unexpected '{}'", word));
        if (open.back() != word[0]) wrong(fmt::format("unexpected '{}', expected '{}'", word, open.back()));
        open.pop_back();
      }
      add(Token::sign, word);
      at_ += word.size();
      return;
    }
    wrong(fmt::format("unexpected char '{}'", utf8_from(s_.substr(at_, 1))));
  }

  void number() {
    const auto digits_at = [&](size_t at, const Text& set) {
      while (one_of(at, set) || (one_of(at, U"_") && one_of(at + 1, set))) ++at;
      return at;
    };
    const Text decimal = U"0123456789";
    size_t end = digits_at(at_, decimal);
    const bool after_dot = at_ > 0 && s_[at_ - 1] == '.';  // x.0.1 has no float in it
    bool is_float = false;
    if (!after_dot && one_of(end, U".") && one_of(end + 1, decimal)) end = digits_at(end + 1, decimal), is_float = true;
    if (!after_dot && one_of(end, U"eE")) {
      const size_t exponent = end + (one_of(end + 1, U"+-") ? 2 : 1);
      if (one_of(exponent, decimal)) end = digits_at(exponent, decimal), is_float = true;
    }
    int base = 10;
    if (!is_float && s_[at_] == '0' && one_of(at_ + 1, U"xXoObB")) {
      base = one_of(at_ + 1, U"xX") ? 16 : one_of(at_ + 1, U"oO") ? 8 : 2;
      end = digits_at(at_ + 2, base == 16 ? U"0123456789abcdefABCDEF" : base == 8 ? U"01234567" : U"01");
    }
    std::string word = utf8_from(s_.substr(at_, end - at_));
    std::erase(word, '_');
    add(is_float ? Token::number : Token::integer, word,
        is_float ? Value(std::strtod(word.c_str(), nullptr)) : integer(word, base));
    at_ = end;
  }

  Value integer(const std::string& word, int base) const {
    Int n = 0;
    for (size_t i = base == 10 ? 0 : 2; i < word.size(); ++i) {
      const char c = word[i];
      const int digit = c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
      if (__builtin_mul_overflow(n, Int{base}, &n) || __builtin_add_overflow(n, Int{digit}, &n))
        wrong(fmt::format("the number {} is beyond 128 bits", shown(word)));
    }
    return n;
  }

  void text() {
    const char32_t quote = s_[at_];
    Text made;
    const size_t begin = at_;
    size_t i = begin + 1;
    for (; i < s_.size() && s_[i] != quote; ++i) {
      if (s_[i] == '\\' && i + 1 < s_.size()) {
        i = escape(i + 1, made);
      } else {
        made += s_[i];
      }
    }
    if (i >= s_.size()) wrong(fmt::format("unexpected char '{}'", static_cast<char>(quote)));
    add(Token::text, "string", std::move(made));
    move_to(i + 1);
  }

  /// The escape whose letter is at `at`; the place of its last character.
  size_t escape(size_t at, Text& made) const {
    static constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeant = "\a\b\f\n\r\t\v\\'\"";
    const char32_t c = s_[at];
    const size_t simple = c < 128 ? kLetters.find(static_cast<char>(c)) : std::string_view::npos;
    if (simple != std::string_view::npos) {
      made += static_cast<char32_t>(kMeant[simple]);
      return at;
    }
    if (c == '\n') return at;
    const size_t hex = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (hex > 0 || (c >= '0' && c <= '7')) {
      const Text allowed = hex > 0 ? U"0123456789abcdefABCDEF" : U"01234567";
      size_t begin = at + (hex > 0), end = begin;
      while (end < begin + (hex > 0 ? hex : 3) && one_of(end, allowed)) ++end;
      const std::string digits = utf8_from(s_.substr(begin, end - begin));
      const unsigned long n = std::strtoul(digits.c_str(), nullptr, hex > 0 ? 16 : 8);
      if (n > 0x10ffff || (hex > 0 && digits.size() != hex)) wrong("a string with a damaged escape");
      made += static_cast<char32_t>(n);
      return end - 1;
    }
    made += U'\\';
    made += c;
    return at;
  }

  Text s_;
  const std::string& where_;
  size_t at_ = 0;
  int line_ = 1;
  bool begins_line_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source, const std::string& where) { return Lexer(source, where).run(); }

}  // namespace jet::jinja
