// Tokens that are cut out of the text before anything else sees it: the special ones and those added after training.
//
//   text   | plain text | <|im_start|> | plain text | ...
//
// They lie in a trie of their bytes, so that one walk from a place finds the longest that begins there.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace jet {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool normalized = false;   // looked for in the normalized text, not in the text as given
  bool left_strip = false;   // takes the white space before it
  bool right_strip = false;  // and after it
  bool single_word = false;  // only where no word character touches it
};

/// Finds added tokens in a text; of those that begin at one place the longest wins.
class AddedTokens {
 public:
  void add(AddedToken token);
  struct Match {
    size_t begin = 0, end = 0;
    int32_t id = 0;
  };
  /// The first token at or after `from`.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  const AddedToken* longest_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> first_bytes_{};
  std::unordered_map<uint64_t, int32_t> edges_;  // node * 256 + byte -> node
  std::vector<int32_t> token_of_node_ = {-1};
};

}  // namespace jet
