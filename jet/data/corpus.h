// Documents for training. A source is a text file, documents separated by a line `<|endoftext|>`, which is encoded into
// memory, or a folder of tokens that `jet data build` made, which is mapped (jet/data/shards.h). Each document is
// preceded by that token's id (or the tokenizer's eos).
//
//   text:     | document | document | ... | document |   held out: the last documents, at least so many tokens |
//   folder:   | document | held out | document | ... |   held out: those marked when it was built
//   row:      | doc, from a random offset where it is longer than the row | doc | ... | doc, cut at `length` |
//
// A row is a function of (seed, step, row) alone: training can resume at any step without replaying the ones before.
// Documents are drawn independently, so some come twice before others come once: `epochs` bounds the mean.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jet/base/number_range.h"
#include "jet/data/document_store.h"
#include "jet/text/regex.h"
#include "jet/text/tokenizer.h"

namespace jet {

class Rng;
class ThreadPool;

struct SourceConfig {
  std::string name, path;
  double weight = 1;  // share of documents drawn, relative to the other sources' weights
  /// PCRE2, multiline; group 1 marks answer text. Empty: the source has no answers.
  std::string answers;
  double answer_weight = 1;  // loss weight of the tokens that overlap an answer
  double epochs = 0;         // how often one training may see the source in the mean; 0: no bound
  double text_weight = 1;    // loss weight of all other tokens; 0: answers alone, as in completion-only training
  template <class V>
  static void fields(SourceConfig& c, V&& v) {
    v("name", c.name), v("path", c.path), v("weight", c.weight, at_least(0)), v("answers", c.answers);
    v("answer_weight", c.answer_weight, at_least(0)), v("epochs", c.epochs, at_least(0));
    v("text_weight", c.text_weight, at_least(0));
  }
};

struct TokenBatch {
  int batch = 0, length = 0;
  std::vector<int32_t> ids;       // [batch, length]
  std::vector<float> weights;     // [batch, length], of ids[i] as a target
  std::vector<uint8_t> starts{};  // [batch, length], 1 where a document (or a part of one) begins
};

/// Borrows the tokenizer that it was loaded with.
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

  /// Throws where `tokens` tokens in rows of `length` would show a source more often than its `epochs`; `what` asks.
  void require_epochs(const std::string& what, int64_t tokens, int length) const;

 private:
  struct Source {
    SourceConfig config;
    std::unique_ptr<DocumentStore> documents;
    std::unique_ptr<Regex> answers;  // null: all weights are 1
  };
  static Source load_source(const Tokenizer& tokenizer, const SourceConfig& config, int64_t held_out_tokens,
                            ThreadPool& pool);
  const Source& source(const std::string& name) const;
  const Source& draw_source(Rng& rng) const;
  void copy(const Source& s, int64_t document, int64_t from, std::span<int32_t> ids, std::span<float> weights) const;
  void fill_row(Rng& rng, std::span<int32_t> ids, std::span<float> weights, std::span<uint8_t> starts) const;

  const Tokenizer* tokenizer_ = nullptr;
  std::vector<Source> sources_;
};

}  // namespace jet
