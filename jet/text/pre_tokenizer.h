// Pre-tokenizers of tokenizer.json: steps that cut the text into words, each within the pieces of the one before.
//
//   Split {pattern, behavior, invert}, Digits {individual_digits}, Punctuation {behavior}, Whitespace (words, and what
//   is neither word nor white space), WhitespaceSplit, Metaspace {replacement, prepend_scheme, split} (U+2581 for
//   spaces), ByteLevel {add_prefix_space, use_regex} (GPT-2's words, in the byte alphabet), Sequence {pretokenizers}
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jet/base/json.h"
#include "jet/text/splitter.h"

namespace jet {

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  /// Hands the pieces of `text` on, in order; a step may rewrite them. `text` is valid UTF-8 and not empty.
  virtual void cut(std::string_view text, bool first, PieceSink sink) const = 0;
};

class PreTokenizer {
 public:
  /// `j`: null or a component. With `bytes` the last step may leave out the rewriting in the byte alphabet
  /// (byte_level()): the model takes the bytes themselves.
  PreTokenizer(const Json& j, const std::string& where, bool bytes);
  PreTokenizer() = default;
  /// Hands the words of `text` on.
  void cut(std::string_view text, bool first, PieceSink sink) const { cut_from(0, text, first, sink); }
  /// Words are to be read in the byte alphabet, but are handed on as their bytes.
  bool byte_level() const { return byte_level_; }

 private:
  void read(const Json& j, const std::string& where);
  void add(std::unique_ptr<PreTokenizerStep> step, const std::string& where);
  void read_byte_level(const struct Component& c);
  void cut_from(size_t step, std::string_view text, bool first, PieceSink sink) const;

  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
  bool byte_level_ = false;
};

}  // namespace jet
