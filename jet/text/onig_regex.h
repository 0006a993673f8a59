// Regular expressions over UTF-8 in the dialect of tokenizer.json, Oniguruma's, by Oniguruma itself.
//
//   for (OnigRegex::Search s(regex, text); s.next();) use(text.substr(s.begin(), s.end() - s.begin()));
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace jet {

class OnigRegex {
 public:
  /// `where` names the source of the pattern in errors.
  OnigRegex(const std::string& pattern, const std::string& where);
  OnigRegex(OnigRegex&&) noexcept;
  OnigRegex& operator=(OnigRegex&&) noexcept;
  ~OnigRegex();
  /// How many groups the pattern captures.
  int groups() const;

  /// The matches in one text, from the left. `text` must be valid UTF-8 (utf8.h) and outlive the search, as must the
  /// regex; several threads may search with one regex.
  class Search {
   public:
    Search(const OnigRegex& regex, std::string_view text);
    Search(const Search&) = delete;
    Search& operator=(const Search&) = delete;
    ~Search();
    /// The next match; false where there is none. It may be empty, but not where the one before it ended.
    bool next();
    /// Byte offsets of the match or of a group; npos for a group that took no part.
    size_t begin(int group = 0) const;
    size_t end(int group = 0) const;

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

/// What \w is in the expressions that find the borders of added tokens (Rust's): alphabetic, marks, decimal digits,
/// connectors and the two joiners.
bool is_word_of_regex(char32_t c);

}  // namespace jet
