// What tokenizer.json and tokenizer_config.json say, checked and resolved to ids.
//
//   {"model": {"type": "BPE", "vocab": {token: id}, "merges": ["l o" or ["l", "o"], ...], "ignore_merges"},
//    "added_tokens": [{"id", "content", "special", "normalized", "lstrip", "rstrip", "single_word"}],
//    "normalizer": NFC, "pre_tokenizer": Split (Regex | String), Digits, ByteLevel, "decoder": ByteLevel,
//    "post_processor": TemplateProcessing {"single": [before ..., Sequence, after ...]}}      each null, or a Sequence
//
// Tokens are written in the byte alphabet (utf8.h); one with other characters stands for its own bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "jet/text/added_tokens.h"
#include "jet/text/bpe.h"
#include "jet/text/regex.h"

namespace jet {

struct TokenizerFile {
  std::vector<std::string> bytes;   // [ids] what the token stands for; empty where an id names no token
  std::vector<bool> in_vocabulary;  // [ids] a token of the BPE model, not only an added one
  std::vector<bool> special;        // [ids]
  std::array<int32_t, 256> byte_ids{};
  std::vector<Merge> merges;
  std::vector<AddedToken> added;
  bool ignore_merges = false;  // a word that is a token is that token, merges or not
  bool nfc = false;
  bool prefix_space = false;           // a space is put before text that begins without one
  std::vector<Regex> splits;           // each isolates its matches within the pieces of the one before
  std::vector<int32_t> before, after;  // what add_special_tokens puts around a text
  int32_t bos = -1, eos = -1;
  uint64_t hash = 0;  // of tokenizer.json's bytes
};

/// Throws on whatever is damaged or unknown, naming it.
TokenizerFile read_tokenizer_file(const std::string& folder);

}  // namespace jet
