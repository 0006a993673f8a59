// The part "model" of tokenizer.json, with its vocabulary and merges, which are nearly all of the file: they are read
// where they stand, without a tree of values.
#pragma once

#include <future>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jet/base/json.h"
#include "jet/text/bpe.h"
#include "jet/text/json_scanner.h"
#include "jet/text/tokenizer_parts.h"

namespace jet {

class ModelFile {
 public:
  /// Reads all of tokenizer.json's text, which must outlive this; `where` is its path.
  ModelFile(std::string_view text, std::string where);
  /// All but vocabulary, merges and added tokens.
  const Json& rest() const { return rest_; }
  /// null where there are none.
  const Json& added_tokens() const { return added_tokens_; }
  /// Puts the vocabulary in `tokens`.
  void place(TokenTable& tokens) const;
  /// `byte_level`: words will come as bytes.
  std::unique_ptr<WordModel> make(const TokenTable& tokens, bool byte_level) const;
  /// "BPE", "Unigram" or "WordLevel".
  const std::string& type() const { return type_; }
  int32_t id_of(std::string_view token) const { return ids_.find(token); }

 private:
  void read_model(JsonScanner& s, std::string& rest);
  void read_vocabulary(JsonScanner& s);
  void index_vocabulary();
  void read_merges(JsonScanner& s);
  void resolve_later();
  void read_type();
  using MergeTexts = std::vector<std::pair<std::string_view, std::string_view>>;
  std::vector<Merge> resolved(const MergeTexts& texts, size_t rank) const;
  std::vector<Merge> all_merges() const;
  std::unique_ptr<WordModel> make_bpe(const TokenTable& tokens, bool byte_level) const;
  std::unique_ptr<WordModel> make_unigram(const TokenTable& tokens) const;
  std::unique_ptr<WordModel> make_word_level(const TokenTable& tokens) const;

  std::string where_, type_;
  JsonScanner scanner_;
  Json rest_, added_tokens_;
  bool has_vocabulary_ = false, has_scores_ = false, has_merges_ = false;
  std::vector<std::pair<std::string_view, int32_t>> vocabulary_;
  std::vector<double> scores_;
  MergeTexts texts_;   // of merges that were read last
  size_t merges_ = 0;  // read before them
  TokenMap ids_;
  // What other threads do while the scanner reads on: ids_ is filled; then merges are resolved, part by part.
  std::shared_future<void> indexed_;
  std::vector<std::shared_future<std::vector<Merge>>> resolved_;
};

}  // namespace jet
