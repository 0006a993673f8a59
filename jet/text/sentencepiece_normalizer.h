// What SentencePiece does to a text before it looks for pieces:
//
//   "  a   b "  ->  the character map at each place, the longest key first; user-defined pieces stay as they are
//               ->  with remove_extra_whitespaces "a b", with add_dummy_prefix " a b", then spaces are U+2581
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jet/text/added_tokens.h"
#include "jet/text/charsmap.h"
#include "jet/text/normalizer.h"

namespace jet {

class SentencePieceNormalizer : public Normalizer {
 public:
  struct Spec {
    std::optional<Charsmap> map;
    bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
    std::vector<std::string> user_defined;
  };
  explicit SentencePieceNormalizer(Spec spec);
  void apply(std::string& text, bool& first) const override;

 private:
  std::string_view step(std::string_view& rest) const;

  Spec spec_;
  AddedTokens user_defined_;
};

}  // namespace jet
