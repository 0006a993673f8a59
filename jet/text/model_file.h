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
  /// All but vocabulary and merges.
  const Json& rest() const { return rest_; }
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
  void read_type();
  std::vector<Merge> resolved_merges() const;
  void resolve(size_t first, size_t last, std::vector<Merge>& merges) const;
  std::unique_ptr<WordModel> make_bpe(const TokenTable& tokens, bool byte_level) const;
  std::unique_ptr<WordModel> make_unigram(const TokenTable& tokens) const;
  std::unique_ptr<WordModel> make_word_level(const TokenTable& tokens) const;

  std::string where_, type_;
  JsonScanner scanner_;
  Json rest_;
  bool has_vocabulary_ = false, has_scores_ = false, has_merges_ = false;
  std::vector<std::pair<std::string_view, int32_t>> vocabulary_;
  std::vector<double> scores_;
  std::vector<std::pair<std::string_view, std::string_view>> merges_;
  TokenMap ids_;
  std::future<void> indexed_;  // ids_ is filled while the scanner reads what follows
};

}  // namespace jet
