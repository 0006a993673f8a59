// Tokens that are cut out of the text before anything else sees it: the special ones and those added after training.
//
//   text   | plain text | <|im_start|> | plain text | ...
//
// They lie in a trie of their bytes, so that one walk from a place finds the longest that begins there.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace jet {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool normalized = false;   // looked for, normalized itself, in the normalized text, not in the text as given
  bool left_strip = false;   // takes the white space before it
  bool right_strip = false;  // and after it
  bool single_word = false;  // only where no word character touches it
};

/// Finds added tokens in a text as the `tokenizers` library does: of those that begin at one place the longest wins,
/// and where its neighbours forbid it no other is tried.
class AddedTokens {
 public:
  /// A text that is there already stays as it is.
  void add(AddedToken token);
  bool empty() const { return tokens_.empty(); }
  /// Calls plain(begin, end) and token(id) for the parts of `text`, in order.
  template <class Plain, class Token>
  void cut(std::string_view text, Plain&& plain, Token&& token) const {
    size_t done = 0, at = 0;
    for (Match m; find(text, at, done, m); at = m.next) {
      if (done < m.begin) plain(done, m.begin);
      token(m.id);
      done = m.end;
    }
    if (done < text.size()) plain(done, text.size());
  }
  /// The longest token that begins at `at`, null where there is none.
  const AddedToken* longest_at(std::string_view text, size_t at) const;

 private:
  struct Match {
    size_t begin = 0, end = 0;  // with the white space that it takes
    size_t next = 0;            // where the search goes on
    int32_t id = 0;
  };
  bool find(std::string_view text, size_t from, size_t done, Match& match) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> first_bytes_{};
  std::unordered_map<uint64_t, int32_t> edges_;  // node * 256 + byte -> node
  std::vector<int32_t> token_of_node_ = {-1};
};

}  // namespace jet
