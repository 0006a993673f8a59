#include "jet/data/corpus.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/rng.h"
#include "jet/base/threads.h"
#include "jet/data/document_reader.h"
#include "jet/data/shards.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

/// A text file's documents in memory; the last ones are held out.
class TextDocuments : public DocumentStore {
 public:
  TextDocuments(const Tokenizer& tokenizer, const SourceConfig& c, int64_t held_out_tokens, ThreadPool& pool) {
    const auto encoded = encode(tokenizer, c, pool);
    require(!encoded.empty(), "source '{}': {} holds no document", c.name, c.path);
    const int32_t separator = separator_id(tokenizer);
    for (const auto& ids : encoded) {
      starts_.push_back(static_cast<int64_t>(ids_.size()));
      ids_.push_back(separator);
      ids_.insert(ids_.end(), ids.begin(), ids.end());
    }
    starts_.push_back(static_cast<int64_t>(ids_.size()));
    train_ = static_cast<int64_t>(encoded.size());
    while (train_ > 0 && starts_.back() - starts_[train_] < held_out_tokens) --train_;
    require(train_ > 0,
            "source '{}': its {} tokens in {} documents leave none to train on with {} held out; hold out fewer",
            c.name, ids_.size(), encoded.size(), held_out_tokens);
  }
  int64_t size(int64_t d) const override { return starts_[d + 1] - starts_[d]; }
  void copy(int64_t d, int64_t from, std::span<int32_t> out) const override {
    std::copy_n(ids_.begin() + starts_[d] + from, out.size(), out.begin());
  }
  int64_t train_documents() const override { return train_; }
  int64_t train_tokens() const override { return starts_[train_]; }
  int64_t train_document(int64_t n) const override { return n; }
  int64_t held_out_documents() const override { return static_cast<int64_t>(starts_.size()) - 1 - train_; }
  int64_t held_out_tokens() const override { return starts_.back() - starts_[train_]; }
  int64_t held_out_document(int64_t n) const override { return train_ + n; }

 private:
  static std::vector<std::vector<int32_t>> encode(const Tokenizer& tokenizer, const SourceConfig& c, ThreadPool& pool) {
    DocumentReader reader(c.path, TextFormat::text, {});
    std::vector<std::string> texts;
    for (RawDocument d; reader.next(d);) {
      texts.push_back(text_of(d, TextFormat::text, {}, c.path));
      if (texts.back().empty()) texts.pop_back();
    }
    std::vector<std::vector<int32_t>> encoded(texts.size());
    pool.parallel_for(static_cast<int64_t>(texts.size()), 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) encoded[i] = tokenizer.encode(texts[i]);
    });
    return encoded;
  }

  std::vector<int32_t> ids_;
  std::vector<int64_t> starts_;  // of every document in ids_, and the end
  int64_t train_ = 0;            // documents from here on are held out
};

std::unique_ptr<DocumentStore> map_tokens(const Tokenizer& tokenizer, const SourceConfig& c, int64_t held_out_tokens) {
  auto store = std::make_unique<TokenStore>(c.path);
  store->require_tokenizer(tokenizer);
  require(store->held_out_tokens() >= held_out_tokens,
          "source '{}': {} was built with {} tokens held out where {} are wanted; build it with --held-out {}", c.name,
          c.path, store->held_out_tokens(), held_out_tokens, held_out_tokens);
  require(store->train_documents() > 0, "source '{}': {} has no document to train on", c.name, c.path);
  return store;
}

/// The loss weights of a document's tokens. The answers are looked for in the tokens' own bytes, which the tokens tile
/// whatever the tokenizer normalized; the separator before the document has no part in that.
std::vector<float> loss_weights(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, const Regex& answers,
                                const SourceConfig& c) {
  std::string text;
  for (size_t i = 1; i < ids.size(); ++i) text += tokenizer.bytes_of(ids[i]);
  require(is_valid_utf8(text), "the tokenizer lacks single bytes, so answers cannot be found in its tokens");

  std::vector<float> weights(ids.size(), static_cast<float>(c.text_weight));
  Regex::Search search(answers, text);
  bool found = search.next();
  size_t begin = 0;
  for (size_t i = 1; i < ids.size(); ++i) {
    const size_t end = begin + tokenizer.bytes_of(ids[i]).size();
    while (found && (search.end(1) <= begin || search.begin(1) == search.end(1))) found = search.next();
    if (found && search.begin(1) < end) weights[i] = static_cast<float>(c.answer_weight);
    begin = end;
  }
  return weights;
}

void check(const SourceConfig& c, std::set<std::string>& names) {
  require(!c.name.empty(), "a source without a name (path '{}'); every source needs one", c.path);
  require(names.insert(c.name).second, "source '{}' is named twice", c.name);
  require(file_exists(c.path), "source '{}': {} is missing", c.name, c.path);
  const bool records = c.path.find(".jsonl") != std::string::npos || c.path.ends_with(".parquet");
  require(!records || is_folder(c.path),
          "source '{}': {} is no text; make a folder of tokens of it with jet data build", c.name, c.path);
  require(std::isfinite(c.weight) && c.weight >= 0, "source '{}': weight {} must be 0 or more", c.name, c.weight);
  require(std::isfinite(c.answer_weight) && c.answer_weight >= 0, "source '{}': answer_weight {} must be 0 or more",
          c.name, c.answer_weight);
  require(c.text_weight == 1 || !c.answers.empty(),
          "source '{}': text_weight {} is of what is no answer; say what answers are (answers = '...')", c.name,
          c.text_weight);
  require(std::isfinite(c.epochs) && c.epochs >= 0, "source '{}': epochs {} must be 0 (no bound) or more", c.name,
          c.epochs);
}

}  // namespace

Corpus::Source Corpus::load_source(const Tokenizer& tokenizer, const SourceConfig& c, int64_t held_out_tokens,
                                   ThreadPool& pool) {
  Source s{c, nullptr, nullptr};
  if (!c.answers.empty()) s.answers = std::make_unique<Regex>(c.answers, "source '" + c.name + "': answers", true);
  require(!s.answers || s.answers->groups() >= 1, "source '{}': answers has no group; put the answer in ()", c.name);
  if (is_folder(c.path)) {
    s.documents = map_tokens(tokenizer, c, held_out_tokens);
  } else {
    s.documents = std::make_unique<TextDocuments>(tokenizer, c, held_out_tokens, pool);
  }
  return s;
}

Corpus Corpus::load(const Tokenizer& tokenizer, const std::vector<SourceConfig>& sources,
                    int64_t held_out_tokens_per_source, int threads) {
  require(!sources.empty(), "no sources to train on; name at least one");
  std::set<std::string> names;
  double total = 0;
  for (const auto& c : sources) check(c, names), total += c.weight;
  require(total > 0, "the weights of all sources are zero; give one a weight");

  ThreadPool pool(std::max(1, threads));
  Corpus corpus;
  corpus.tokenizer_ = &tokenizer;
  for (const auto& c : sources) corpus.sources_.push_back(load_source(tokenizer, c, held_out_tokens_per_source, pool));
  return corpus;
}

const Corpus::Source& Corpus::source(const std::string& name) const {
  for (const auto& s : sources_)
    if (s.config.name == name) return s;
  fail("no source is named '{}'; there are: {}", name, fmt::to_string(fmt::join(names(), ", ")));
}

const Corpus::Source& Corpus::draw_source(Rng& rng) const {
  double total = 0;
  for (const auto& s : sources_) total += s.config.weight;
  double left = rng.uniform() * total;
  const Source* last = nullptr;
  for (const auto& s : sources_) {
    if (s.config.weight == 0) continue;
    last = &s;
    if (left < s.config.weight) break;
    left -= s.config.weight;
  }
  return *last;
}

/// Tokens of a document from `from` on, and their weights. Answers are found in the whole document each time: keeping
/// them would cost two to four times the memory of the tokens.
void Corpus::copy(const Source& s, int64_t document, int64_t from, std::span<int32_t> ids,
                  std::span<float> weights) const {
  s.documents->copy(document, from, ids);
  std::fill(weights.begin(), weights.end(), 1.0f);
  if (!s.answers) return;
  std::vector<int32_t> whole(s.documents->size(document));
  s.documents->copy(document, 0, whole);
  const auto all = loss_weights(*tokenizer_, whole, *s.answers, s.config);
  std::copy_n(all.begin() + from, weights.size(), weights.begin());
}

void Corpus::fill_row(Rng& rng, std::span<int32_t> ids, std::span<float> weights, std::span<uint8_t> starts) const {
  const auto length = static_cast<int64_t>(ids.size());
  for (int64_t at = 0; at < length;) {
    const Source& s = draw_source(rng);
    const auto n_documents = static_cast<uint64_t>(s.documents->train_documents());
    const int64_t document = s.documents->train_document(static_cast<int64_t>(rng.below(n_documents)));
    const int64_t size = s.documents->size(document);
    int64_t from = 0;
    // Of a document that no row can hold, the later parts must be seen as well.
    if (size > length && rng.uniform() < 0.5)
      from = static_cast<int64_t>(rng.below(static_cast<uint64_t>(size - length) + 1));
    const int64_t n = std::min(size - from, length - at);
    copy(s, document, from, ids.subspan(at, n), weights.subspan(at, n));
    starts[at] = 1;
    at += n;
  }
}

TokenBatch Corpus::train_batch(uint64_t seed, int64_t step, int batch, int length) const {
  require(batch > 0 && length > 0, "a batch of {} rows of {} tokens; both must be positive", batch, length);
  const size_t n = static_cast<size_t>(batch) * length;
  TokenBatch b{batch, length, std::vector<int32_t>(n), std::vector<float>(n), std::vector<uint8_t>(n)};
  for (int row = 0; row < batch; ++row) {
    Rng rng(seed, fmt::format("batch {} row {}", step, row));
    const size_t at = static_cast<size_t>(row) * length;
    fill_row(rng, std::span(b.ids).subspan(at, length), std::span(b.weights).subspan(at, length),
             std::span(b.starts).subspan(at, length));
  }
  return b;
}

TokenBatch Corpus::held_out(const std::string& name, int batch, int length) const {
  require(batch > 0 && length > 0, "a batch of {} rows of {} tokens; both must be positive", batch, length);
  const Source& s = source(name);
  const int64_t wanted = static_cast<int64_t>(batch) * length;
  require(wanted <= held_out_tokens(name), "source '{}': {} held-out tokens are wanted but there are {}; hold out more",
          name, wanted, held_out_tokens(name));
  TokenBatch b{batch, length, std::vector<int32_t>(wanted), std::vector<float>(wanted), std::vector<uint8_t>(wanted)};
  for (int64_t at = 0, i = 0; at < wanted; ++i) {
    const int64_t document = s.documents->held_out_document(i);
    const int64_t n = std::min(s.documents->size(document), wanted - at);
    copy(s, document, 0, std::span(b.ids).subspan(at, n), std::span(b.weights).subspan(at, n));
    b.starts[at] = 1;
    at += n;
  }
  return b;
}

std::vector<std::string> Corpus::names() const {
  std::vector<std::string> all;
  for (const auto& s : sources_) all.push_back(s.config.name);
  return all;
}

int64_t Corpus::train_documents(const std::string& name) const { return source(name).documents->train_documents(); }
int64_t Corpus::train_tokens(const std::string& name) const { return source(name).documents->train_tokens(); }
int64_t Corpus::held_out_tokens(const std::string& name) const { return source(name).documents->held_out_tokens(); }

void Corpus::require_epochs(const std::string& what, int64_t tokens, int length) const {
  const bool bounded =
      std::any_of(sources_.begin(), sources_.end(), [](const Source& s) { return s.config.epochs > 0; });
  if (!bounded) return;
  // Weights are shares of documents. A document that is drawn brings its tokens, at most a row of them.
  std::vector<double> drawn;
  double total = 0;
  for (const auto& s : sources_) {
    const int64_t n = s.documents->train_documents();
    double sum = 0;
    for (int64_t i = 0; i < n; ++i)
      sum += static_cast<double>(std::min<int64_t>(length, s.documents->size(s.documents->train_document(i))));
    drawn.push_back(s.config.weight * sum / static_cast<double>(n));
    total += drawn.back();
  }
  for (size_t i = 0; i < sources_.size(); ++i) {
    const auto& c = sources_[i].config;
    const auto there = static_cast<double>(sources_[i].documents->train_tokens());
    const double seen = static_cast<double>(tokens) * drawn[i] / total / there;
    require(c.epochs == 0 || seen <= c.epochs,
            "{}: {} tokens would show source '{}' ({} tokens, {:.1f} % of what is drawn) {:.3g} times where its epochs "
            "allow {}; lower the tokens or its weight, or raise epochs",
            what, tokens, c.name, there, 100 * drawn[i] / total, seen, c.epochs);
  }
}

}  // namespace jet
