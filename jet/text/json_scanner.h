// JSON read once from the left, without a tree: for the two parts of a tokenizer.json that hold nearly all of it.
//
//   JsonScanner s(text, "file");
//   s.object([&](std::string_view key) { if (key == "vocab") read(s); else s.skip(); });
#pragma once

#include <deque>
#include <string>
#include <string_view>

namespace jet {

class JsonScanner {
 public:
  /// `text` must outlive the scanner; `where` names it in errors.
  JsonScanner(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  /// The next character that is no blank, not taken; 0 at the end.
  char peek();
  void expect(char c);
  bool accept(char c) { return peek() == c && (++at_, true); }
  /// A string, which lives as long as the scanner and its text. Checked to be UTF-8.
  std::string_view string();
  /// A number, true, false or null, as it stands; not checked.
  std::string_view scalar();
  /// A value of any kind, as it stands; its brackets match and nest at most 200 deep, nothing else is checked.
  std::string_view skip();

  template <class Member>
  void object(Member&& member) {
    list('{', '}', [&] {
      const std::string_view key = string();
      expect(':');
      member(key);
    });
  }
  template <class Item>
  void array(Item&& item) {
    list('[', ']', item);
  }
  [[noreturn]] void damaged() const;

 private:
  template <class Item>
  void list(char open, char close, Item&& item) {
    expect(open);
    if (accept(close)) return;
    do item();
    while (accept(','));
    expect(close);
  }
  std::string_view escaped(size_t begin);
  char32_t code_unit();
  void skip_string();

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
  std::deque<std::string> unescaped_;
};

}  // namespace jet
