// Normalizers of tokenizer.json: rewrites of the text before it is cut into words.
//
//   NFC, NFD, NFKC, NFKD, Lowercase, StripAccents (drops marks), Strip {strip_left, strip_right} (white space),
//   Prepend {prepend}, Replace {pattern, content}, Precompiled {precompiled_charsmap}, ByteLevel (the byte alphabet),
//   Sequence {normalizers}
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jet/base/json.h"

namespace jet {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Rewrites `text`, valid UTF-8. `first`, which says that the text begins where the whole text did, becomes false
  /// where what it began with is gone.
  virtual void apply(std::string& text, bool& first) const = 0;
};

using Normalizers = std::vector<std::unique_ptr<Normalizer>>;

/// Appends what `j` says, null or a component; throws on what cannot be read, naming `where`.
void read_normalizer(const Json& j, const std::string& where, Normalizers& all);

}  // namespace jet
