// What a tokenizer is made of, whichever file it was read from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jet/text/added_tokens.h"
#include "jet/text/decoder.h"
#include "jet/text/normalizer.h"
#include "jet/text/pre_tokenizer.h"
#include "jet/text/token_map.h"
#include "jet/text/utf8.h"
#include "jet/text/word_model.h"

namespace jet {

/// The tokens by id.
struct TokenTable {
  std::vector<std::string> texts;   // [ids] as the file has them; empty where an id names no token
  std::vector<bool> in_vocabulary;  // [ids] a token of the model, not only an added one
  std::vector<bool> special;        // [ids]

  void resize(size_t ids);
  /// Throws, naming `where`, on an id far beyond the number of tokens, which is damage and would only take memory.
  void place(int64_t id, std::string_view text, bool of_model, const std::string& where);
  size_t most_ids = 1 << 20;
};

struct TokenizerParts {
  TokenTable tokens;
  AddedTokens raw_tokens, normalized_tokens;  // found in the text as given; found in what the normalizers made of it
  Normalizers normalizers;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<WordModel> model;
  Decoder decoder;
  std::vector<int32_t> before, after;  // what add_special_tokens puts around a text
  int32_t bos = -1, eos = -1;
  uint64_t hash = 0;  // of the file's bytes

  /// Adds a token to what is looked for, by its flags; needs the normalizers. Throws naming `where`.
  void look_for(AddedToken token, const std::string& where);
};

/// What tokenizer_config.json says of tokens, by their texts.
struct TokenizerConfig {
  std::string bos, eos;            // empty: not said
  int add_bos = -1, add_eos = -1;  // -1: not said
  std::vector<AddedToken> added;   // added_tokens_decoder
};
/// Nothing where there is no such file.
TokenizerConfig read_tokenizer_config(const std::string& path);
/// The id of a token that `path` names under `key`, -1 where it names none (empty); throws where find gives -1.
template <class Find>
int32_t named_token(const std::string& text, const char* key, const std::string& path, Find&& find) {
  const int32_t id = text.empty() ? -1 : find(text);
  require(text.empty() || id >= 0, "{}: '{}' is {}, which the tokenizer does not have", path, key, shown(text));
  return id;
}

/// An added token of tokenizer.json, or of added_tokens_decoder, where the id is its key.
AddedToken read_added_token(const Json& j, const std::string& where);

}  // namespace jet
