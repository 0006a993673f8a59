// Regular expressions over UTF-8 (PCRE2: Unicode properties, compiled to machine code).
//
//   for (Regex::Search s(regex, text); s.next();) use(text.substr(s.begin(), s.end() - s.begin()));
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace jet {

class Regex {
 public:
  /// `where` names the source of the pattern in errors. `multiline`: ^ and $ match at every line.
  Regex(const std::string& pattern, const std::string& where, bool multiline = false);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();
  /// How many groups the pattern captures.
  int groups() const;

  /// The matches in one text, from the left. `text` must be valid UTF-8 (utf8.h) and outlive the search, as must the
  /// regex; several threads may search with one regex.
  class Search {
   public:
    Search(const Regex& regex, std::string_view text);
    Search(const Search&) = delete;
    Search& operator=(const Search&) = delete;
    ~Search();
    /// The next match that is not empty; false where there is none.
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

}  // namespace jet
