#include "jet/data/corpus.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/rng.h"
#include "jet/base/threads.h"
#include "jet/text/regex.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr std::string_view kSeparator = "<|endoftext|>";

struct Document {
  std::vector<int32_t> ids;
  std::vector<float> weights;
};

/// The documents of a file without the blank lines around them; those of white space alone are left out.
std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  const auto add = [&](std::string_view d) {
    while (!d.empty() && (d.front() == '\n' || d.front() == '\r')) d.remove_prefix(1);
    while (!d.empty() && (d.back() == '\n' || d.back() == '\r')) d.remove_suffix(1);
    if (d.find_first_not_of(" \t\r\n") != std::string_view::npos) documents.push_back(d);
  };
  size_t begin = 0;
  for (size_t line = 0; line < text.size();) {
    const size_t end = std::min(text.find('\n', line), text.size());
    std::string_view content = text.substr(line, end - line);
    if (!content.empty() && content.back() == '\r') content.remove_suffix(1);
    if (content == kSeparator) {
      add(text.substr(begin, line - begin));
      begin = std::min(end + 1, text.size());
    }
    line = end + 1;
  }
  add(text.substr(begin));
  return documents;
}

/// The loss weights of a document's tokens. The answers are looked for in the tokens' own bytes, which the tokens tile
/// whatever the tokenizer normalized.
std::vector<float> answer_weights(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, const Regex& answers,
                                  float answer_weight) {
  std::string text;
  for (const int32_t id : ids) text += tokenizer.bytes_of(id);
  require(is_valid_utf8(text), "the tokenizer lacks single bytes, so answers cannot be found in its tokens");

  std::vector<float> weights(ids.size(), 1.0f);
  Regex::Search search(answers, text);
  bool found = search.next();
  size_t begin = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t end = begin + tokenizer.bytes_of(ids[i]).size();
    while (found && (search.end(1) <= begin || search.begin(1) == search.end(1))) found = search.next();
    if (found && search.begin(1) < end) weights[i] = answer_weight;
    begin = end;
  }
  return weights;
}

Document encode_document(const Tokenizer& tokenizer, std::string_view text, int32_t separator, const Regex* answers,
                         float answer_weight) {
  Document d;
  d.ids = tokenizer.encode(text);
  if (answers) d.weights = answer_weights(tokenizer, d.ids, *answers, answer_weight);
  d.ids.insert(d.ids.begin(), separator);
  if (answers) d.weights.insert(d.weights.begin(), 1.0f);
  return d;
}

void check(const SourceConfig& c, std::set<std::string>& names) {
  require(!c.name.empty(), "a source without a name (path '{}'); every source needs one", c.path);
  require(names.insert(c.name).second, "source '{}' is named twice", c.name);
  require(file_exists(c.path), "source '{}': {} is missing", c.name, c.path);
  require(std::isfinite(c.weight) && c.weight >= 0, "source '{}': weight {} must be 0 or more", c.name, c.weight);
  require(std::isfinite(c.answer_weight) && c.answer_weight >= 0, "source '{}': answer_weight {} must be 0 or more",
          c.name, c.answer_weight);
}

}  // namespace

Corpus::Source Corpus::load_source(const Tokenizer& tokenizer, const SourceConfig& c, int32_t separator,
                                   int64_t held_out_tokens, ThreadPool& pool) {
  const std::string text = read_file(c.path);
  const auto documents = split_documents(text);
  require(!documents.empty(), "source '{}': {} holds no document", c.name, c.path);
  std::optional<Regex> answers;
  if (!c.answers.empty()) answers.emplace(c.answers, "source '" + c.name + "': answers", true);
  require(!answers || answers->groups() >= 1, "source '{}': answers has no group; put the answer in ()", c.name);

  std::vector<Document> encoded(documents.size());
  pool.parallel_for(static_cast<int64_t>(documents.size()), 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      encoded[i] = encode_document(tokenizer, documents[i], separator, answers ? &*answers : nullptr,
                                   static_cast<float>(c.answer_weight));
  });

  Source s;
  s.config = c;
  for (const auto& d : encoded) {
    s.starts.push_back(static_cast<int64_t>(s.ids.size()));
    s.ids.insert(s.ids.end(), d.ids.begin(), d.ids.end());
    s.weights.insert(s.weights.end(), d.weights.begin(), d.weights.end());
  }
  const auto tokens = static_cast<int64_t>(s.ids.size());
  s.starts.push_back(tokens);
  s.train_documents = static_cast<int64_t>(documents.size());
  while (s.train_documents > 0 && tokens - s.starts[s.train_documents] < held_out_tokens) --s.train_documents;
  require(s.train_documents > 0,
          "source '{}': its {} tokens in {} documents leave none to train on with {} held out; hold out fewer", c.name,
          tokens, documents.size(), held_out_tokens);
  return s;
}

Corpus Corpus::load(const Tokenizer& tokenizer, const std::vector<SourceConfig>& sources,
                    int64_t held_out_tokens_per_source, int threads) {
  require(!sources.empty(), "no sources to train on; name at least one");
  const int32_t named = tokenizer.id_of(kSeparator), separator = named >= 0 ? named : tokenizer.eos_id();
  require(separator >= 0, "the tokenizer has neither {} nor an eos_token; name one in tokenizer_config.json",
          kSeparator);
  std::set<std::string> names;
  double total = 0;
  for (const auto& c : sources) check(c, names), total += c.weight;
  require(total > 0, "the weights of all sources are zero; give one a weight");

  ThreadPool pool(std::max(1, threads));
  Corpus corpus;
  for (const auto& c : sources)
    corpus.sources_.push_back(load_source(tokenizer, c, separator, held_out_tokens_per_source, pool));
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

void Corpus::fill_row(Rng& rng, std::span<int32_t> ids, std::span<float> weights) const {
  const auto length = static_cast<int64_t>(ids.size());
  for (int64_t at = 0; at < length;) {
    const Source& s = draw_source(rng);
    const auto document = static_cast<int64_t>(rng.below(s.train_documents));
    int64_t begin = s.starts[document];
    const int64_t end = s.starts[document + 1];
    // Of a document that no row can hold, the later parts must be seen as well.
    if (end - begin > length && rng.uniform() < 0.5)
      begin += static_cast<int64_t>(rng.below(static_cast<uint64_t>(end - begin - length) + 1));
    const int64_t n = std::min(end - begin, length - at);
    std::copy_n(s.ids.begin() + begin, n, ids.begin() + at);
    if (s.weights.empty()) {
      std::fill_n(weights.begin() + at, n, 1.0f);
    } else {
      std::copy_n(s.weights.begin() + begin, n, weights.begin() + at);
    }
    at += n;
  }
}

TokenBatch Corpus::train_batch(uint64_t seed, int64_t step, int batch, int length) const {
  require(batch > 0 && length > 0, "a batch of {} rows of {} tokens; both must be positive", batch, length);
  TokenBatch b{batch, length, {}, {}};
  b.ids.resize(static_cast<size_t>(batch) * length);
  b.weights.resize(b.ids.size());
  for (int row = 0; row < batch; ++row) {
    Rng rng(seed, fmt::format("batch {} row {}", step, row));
    const size_t at = static_cast<size_t>(row) * length;
    fill_row(rng, std::span(b.ids).subspan(at, length), std::span(b.weights).subspan(at, length));
  }
  return b;
}

TokenBatch Corpus::held_out(const std::string& name, int batch, int length) const {
  require(batch > 0 && length > 0, "a batch of {} rows of {} tokens; both must be positive", batch, length);
  const Source& s = source(name);
  const int64_t wanted = static_cast<int64_t>(batch) * length, begin = s.starts[s.train_documents];
  require(wanted <= held_out_tokens(name), "source '{}': {} held-out tokens are wanted but there are {}; hold out more",
          name, wanted, held_out_tokens(name));
  TokenBatch b{batch, length, {}, {}};
  b.ids.assign(s.ids.begin() + begin, s.ids.begin() + begin + wanted);
  b.weights.assign(b.ids.size(), 1.0f);
  if (!s.weights.empty()) std::copy_n(s.weights.begin() + begin, wanted, b.weights.begin());
  return b;
}

std::vector<std::string> Corpus::names() const {
  std::vector<std::string> all;
  for (const auto& s : sources_) all.push_back(s.config.name);
  return all;
}

int64_t Corpus::train_documents(const std::string& name) const { return source(name).train_documents; }

int64_t Corpus::train_tokens(const std::string& name) const {
  const Source& s = source(name);
  return s.starts[s.train_documents];
}

int64_t Corpus::held_out_tokens(const std::string& name) const {
  const Source& s = source(name);
  return s.starts.back() - s.starts[s.train_documents];
}

}  // namespace jet
