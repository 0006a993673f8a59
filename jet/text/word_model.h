// What turns a word into ids: BPE (bpe.h), Unigram (unigram.h), or a table of whole words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "jet/base/error.h"
#include "jet/text/function_ref.h"

namespace jet {

class WordModel {
 public:
  virtual ~WordModel() = default;
  /// Appends the ids of `word`, valid UTF-8 (with byte-level models any bytes) and not empty.
  virtual void encode(std::string_view word, std::vector<int32_t>& ids) const = 0;
  /// Hands parts of `word` on whose ids, one after another, are those of the word.
  virtual void cut(std::string_view word, FunctionRef<void(std::string_view)> part) const { part(word); }
};

/// Every word is a token, or the unknown one.
class WordLevel : public WordModel {
 public:
  WordLevel(std::unordered_map<std::string, int32_t> words, int32_t unknown, std::string where)
      : words_(std::move(words)), unknown_(unknown), where_(std::move(where)) {}
  void encode(std::string_view word, std::vector<int32_t>& ids) const override {
    const auto found = words_.find(std::string(word));
    require(found != words_.end() || unknown_ >= 0, "{}: has no token for a word of the text, and no unk_token",
            where_);
    ids.push_back(found != words_.end() ? found->second : unknown_);
  }

 private:
  std::unordered_map<std::string, int32_t> words_;
  int32_t unknown_;
  std::string where_;
};

}  // namespace jet
