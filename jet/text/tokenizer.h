// Byte-level BPE tokenizers in the Hugging Face tokenizer.json layout:
//   text -> added tokens cut out -> normalizer (NFC) -> pre-tokenizer (regex split, bytes as printable code points)
//        -> BPE merges by rank (whole-word lookup first with ignore_merges) -> post-processor (BOS)
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace jet {

/// Its const members may be called from several threads at once.
class Tokenizer {
 public:
  /// Reads `folder`/tokenizer.json (and tokenizer_config.json where present).
  static Tokenizer load(const std::string& folder);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of `text` (UTF-8; invalid bytes become U+FFFD). Special tokens written in the text are recognised.
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = false) const;
  /// encode(text), for texts whose parts come again, as a conversation's do: what stands between added tokens is
  /// remembered (16 MiB of it).
  std::vector<int32_t> encode_again(std::string_view text) const;
  /// What add_special_tokens puts before a text.
  const std::vector<int32_t>& beginning() const;
  /// Valid UTF-8: what the tokens' bytes leave invalid becomes U+FFFD.
  std::string decode(const std::vector<int32_t>& ids, bool skip_special_tokens = false) const;
  /// The bytes of one token: a stream may end inside a UTF-8 character. Empty where the id names no token (models pad
  /// their vocabularies).
  const std::string& bytes_of(int32_t id) const;
  /// -1 where the text is no single token.
  int32_t id_of(std::string_view token) const;
  /// The highest id + 1.
  int vocab_size() const;
  bool is_special(int32_t id) const;
  /// The ids of all special tokens, ascending.
  const std::vector<int32_t>& specials() const;
  /// Of tokenizer.json's bytes (jet/base/hash.h): tokens on disk name the tokenizer that made them by it.
  uint64_t hash() const;
  /// As tokenizer_config.json names them; -1 where it does not.
  int32_t bos_id() const;
  int32_t eos_id() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A text as rows of `length` tokens, one after another: as many as are whole, at most `most_rows`, or one shorter row.
/// Each begins as the tokenizer begins texts.
std::vector<int32_t> encode_rows(const Tokenizer& tokenizer, std::string_view text, int length, int64_t most_rows);

}  // namespace jet
