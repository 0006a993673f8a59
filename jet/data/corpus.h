// Documents for training. A text file is documents separated by a line `<|endoftext|>`; each is encoded and preceded
// by that token's id (or the tokenizer's eos).
//
//   source:  | document | document | ... | document |  held out: the last documents, at least so many tokens |
//   row:     | doc (or its part from a random offset) | doc | ... | doc, cut at `length` |
//
// A row is a function of (seed, step, row) alone: training can resume at any step without replaying the ones before.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "jet/text/tokenizer.h"

namespace jet {

class Rng;
class ThreadPool;

struct SourceConfig {
  std::string name, path;
  double weight = 1;  // share of documents drawn, relative to the other sources' weights
  /// PCRE2, multiline; group 1 marks answer text. Empty: the source has no answers.
  std::string answers;
  double answer_weight = 1;  // loss weight of the tokens that overlap an answer; 1 for all others
  template <class V>
  static void fields(SourceConfig& c, V&& v) {
    v("name", c.name);
    v("path", c.path);
    v("weight", c.weight);
    v("answers", c.answers);
    v("answer_weight", c.answer_weight);
  }
};

struct TokenBatch {
  int batch = 0, length = 0;
  std::vector<int32_t> ids;    // [batch, length]
  std::vector<float> weights;  // [batch, length], of ids[i] as a target
};

class Corpus {
 public:
  static Corpus load(const Tokenizer& tokenizer, const std::vector<SourceConfig>& sources,
                     int64_t held_out_tokens_per_source, int threads);

  /// Rows of training documents; held-out ones are never among them.
  TokenBatch train_batch(uint64_t seed, int64_t step, int batch, int length) const;
  /// The first batch * length held-out tokens of `source`, always the same.
  TokenBatch held_out(const std::string& source, int batch, int length) const;

  std::vector<std::string> names() const;
  int64_t train_tokens(const std::string& source) const;
  int64_t held_out_tokens(const std::string& source) const;
  int64_t train_documents(const std::string& source) const;

 private:
  struct Source {
    SourceConfig config;
    std::vector<int32_t> ids;
    std::vector<float> weights;   // as long as ids; empty where all are 1
    std::vector<int64_t> starts;  // of every document in ids, and the end
    int64_t train_documents = 0;  // those from here on are held out
  };
  static Source load_source(const Tokenizer& tokenizer, const SourceConfig& config, int32_t separator,
                            int64_t held_out_tokens, ThreadPool& pool);
  const Source& source(const std::string& name) const;
  const Source& draw_source(Rng& rng) const;
  void fill_row(Rng& rng, std::span<int32_t> ids, std::span<float> weights) const;

  std::vector<Source> sources_;
};

}  // namespace jet
