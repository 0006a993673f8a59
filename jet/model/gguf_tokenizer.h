// tokenizer.json, tokenizer_config.json and the ends of text out of a GGUF file's keys:
//
//   tokenizer.ggml.model     gpt2: byte-level BPE       llama: SentencePiece's BPE
//   .tokens .token_type      texts; 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
//   .merges  .scores         of gpt2; of llama: whichever pair has the token of the highest score is merged first
//   .pre                     of gpt2: how text is split into words, by a name (gguf_pre_tokenizer.cc)
//   .bos_token_id .eos_token_id .unknown_token_id .padding_token_id .eot_token_id .eom_token_id
//   .add_bos_token .add_eos_token .add_space_prefix
//   tokenizer.chat_template, tokenizer.chat_template.NAME for NAME in tokenizer.chat_templates
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/storage/gguf.h"

namespace jet {

struct GgufTokenizer {
  Json tokenizer, config;  // tokenizer.json, tokenizer_config.json
  std::optional<int> bos, pad;
  std::vector<int> ends;  // of text: eos first, then what ends a turn
};

/// Throws on what is missing or cannot be read the same way, naming file and key. `vocabulary`: rows of the embedding,
/// which must be as many as tokens.
GgufTokenizer gguf_tokenizer(const Gguf& file, int64_t vocabulary);

/// How one kind of byte-level tokenizer works, as the released models' tokenizer.json have it.
struct GgufPreTokenizer {
  Json pre_tokenizer{};
  bool ignore_merges = false, add_bos = false;
};
/// Of tokenizer.ggml.pre; throws where the name is not known. `where` begins the error.
GgufPreTokenizer gguf_pre_tokenizer(const std::string& name, const std::string& where);

/// The merges of SentencePiece's BPE in their order. Pieces take part in them where `mergeable`.
std::vector<std::string> merges_of_scores(const std::vector<std::string_view>& pieces,
                                          const std::vector<double>& scores, const std::vector<bool>& mergeable);

}  // namespace jet
