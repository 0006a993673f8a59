// Decoders of tokenizer.json: from the texts of tokens to text.
//
//   ByteLevel (the byte alphabet, joined), Metaspace {replacement, prepend_scheme}, Replace {pattern, content},
//   ByteFallback (<0x0A> for a byte), Fuse (joined), Strip {content, start, stop} (of each token's ends), Sequence
//
// Without a decoder tokens stand with a space between them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jet/base/json.h"

namespace jet {

class DecoderStep {
 public:
  virtual ~DecoderStep() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
  /// What one token stands for wherever it is, bytes that may be part of a character.
  virtual void apply_alone(std::string&) const {}
};

class Decoder {
 public:
  Decoder() = default;
  Decoder(const Json& j, const std::string& where);
  /// Appends a step.
  void add(std::unique_ptr<DecoderStep> step) { steps_.push_back(std::move(step)); }
  /// Valid UTF-8 of the texts of tokens.
  std::string decode(std::vector<std::string> tokens) const;
  /// The bytes of one token, whatever stands before it: a text's own beginning may lose a space in decode().
  std::string bytes_of(std::string token) const;
  /// Whether decode() is nothing but the bytes of the tokens, repaired.
  bool is_byte_level() const { return byte_level_; }

 private:
  void read(const Json& j, const std::string& where);
  std::vector<std::unique_ptr<DecoderStep>> steps_;
  bool byte_level_ = false;
};

/// As SentencePiece decodes: U+2581 is a space, <0x0A> a byte, and each byte that is no text a U+FFFD. Where the model
/// adds a space before a text (`adds_space`) or takes needless ones away (`removes_spaces`), the first token gives up a
/// space at its front; with `removes_spaces` so does every token while there is no text yet.
Decoder sentencepiece_decoder(bool adds_space, bool removes_spaces);

}  // namespace jet
