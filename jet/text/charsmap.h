// The character map of a SentencePiece model: which strings a normalizer replaces by which. The keys are in a double
// array, a trie in one array of units of 32 bits:
//
//   | size of the array in bytes, u32 | units ... | replacements, each ended by a zero byte |      little-endian
//
//   unit   bit 31     1: a leaf, whose bits 0-30 are where the replacement begins
//          bits 0-7   the byte that leads here
//          bit 8      the node has a leaf, at its own children's base
//          bits 10-30 offset, shifted left by 8 more where bit 9 is set: child of byte b is at (node ^ offset) ^ b
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jet {

class Charsmap {
 public:
  /// Throws on what is damaged, naming `where`.
  Charsmap(std::string_view bytes, const std::string& where);

  struct Match {
    size_t length = 0;  // bytes of the key
    std::string_view replacement;
  };
  /// The shortest or the longest key that `text` begins with.
  std::optional<Match> shortest(std::string_view text) const { return find(text, false); }
  std::optional<Match> longest(std::string_view text) const { return find(text, true); }

 private:
  std::optional<Match> find(std::string_view text, bool longest) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

/// Throws where `text` is no base64, naming `where`.
std::string from_base64(std::string_view text, const std::string& where);

}  // namespace jet
