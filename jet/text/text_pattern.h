// What Split and Replace look for: a literal text or an expression.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "jet/text/component.h"
#include "jet/text/onig_regex.h"
#include "jet/text/word_scanner.h"

namespace jet {

class TextPattern {
 public:
  explicit TextPattern(const Component& c);
  TextPattern(const std::string& regex, const std::string& where);

  /// Calls match(begin, end) for every match in valid UTF-8, from the left; it may be empty.
  template <class Match>
  void for_each_match(std::string_view text, Match&& match) const {
    if (text.empty()) return;
    if (scanner_) {
      for (size_t at = 0, end; at < text.size(); at = end) match(at, end = scanner_->end_of_word(text, at));
    } else if (regex_) {
      for (OnigRegex::Search s(*regex_, text); s.next();) match(s.begin(), s.end());
    } else {
      for (size_t at = text.find(literal_); at != text.npos; at = text.find(literal_, at + literal_.size()))
        match(at, at + literal_.size());
    }
  }
  /// `text` with every match replaced; throws on an empty match, of which the library makes what nobody means.
  std::string replaced(std::string_view text, std::string_view by) const;

 private:
  std::string literal_;
  const WordScanner* scanner_ = nullptr;
  std::optional<OnigRegex> regex_;
};

}  // namespace jet
