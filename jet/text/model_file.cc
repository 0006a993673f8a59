#include "jet/text/model_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "jet/text/bpe.h"
#include "jet/text/byte_token.h"
#include "jet/text/unigram.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr size_t kMergesAPart = 32768;

/// The fields of `model` but for these would be left out without a word.
void allow(const Json& model, std::initializer_list<std::string_view> fields, const std::string& where) {
  for (const auto& [name, value] : model.items()) {
    const bool known =
        name == "type" || name == "vocab" || std::find(fields.begin(), fields.end(), name) != fields.end();
    require(known, "{}: the field {} is not known", where, shown(name));
  }
}

}  // namespace

ModelFile::ModelFile(std::string_view text, std::string where) : where_(std::move(where)), scanner_(text, where_) {
  // The same object without what is read here.
  std::string rest = "{";
  bool has_model = false;
  std::future<Json> added;
  require(scanner_.peek() != '\0', "{}: not valid JSON: the file is empty", where_);
  require(scanner_.peek() == '{', "{}: key 'model' is missing: it is no JSON object", where_);
  scanner_.object([&](std::string_view key) {
    if (rest.size() > 1) rest += ',';
    rest += json_text(Json(std::string(key))) + ':';
    if (key == "model" && scanner_.peek() == '{') {
      require(!has_model, "{}: key 'model' stands twice", where_);
      has_model = true;
      read_model(scanner_, rest);
    } else if (key == "added_tokens") {
      rest += "null";  // they may be thousands: read while the scanner reads on
      added = std::async(std::launch::async, parse_json, std::string(scanner_.skip()), where_ + ": added_tokens");
    } else {
      rest += scanner_.skip();
    }
  });
  if (scanner_.peek() != '\0') scanner_.damaged();
  require(has_model, "{}: key 'model' is missing", where_);
  if (indexed_.valid()) indexed_.get();
  rest_ = parse_json(rest + '}', where_);
  if (added.valid()) added_tokens_ = added.get();
  read_type();
}

void ModelFile::read_model(JsonScanner& s, std::string& rest) {
  rest += '{';
  bool more = false;
  s.object([&](std::string_view key) {
    if (std::exchange(more, true)) rest += ',';
    rest += json_text(Json(std::string(key))) + ':';
    if (key == "vocab") {
      rest += "null";
      read_vocabulary(s);
    } else if (key == "merges") {
      rest += "null";
      require(!has_merges_, "{}: key 'model.merges' stands twice", where_);
      has_merges_ = s.peek() == '[';
      has_merges_ ? read_merges(s) : static_cast<void>(s.skip());
    } else {
      rest += s.skip();
    }
  });
  rest += '}';
}

void ModelFile::read_vocabulary(JsonScanner& s) {
  require(!has_vocabulary_, "{}: key 'model.vocab' stands twice", where_);
  has_scores_ = s.peek() == '[';
  has_vocabulary_ = has_scores_ || s.peek() == '{';
  if (!has_vocabulary_) {
    s.skip();
    return;
  }
  const auto number = [&](std::string_view token, auto& value) {
    const std::string_view text = s.scalar();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      fail("{}: token {} has the {} '{}'", where_, shown(token), has_scores_ ? "score" : "id",
           one_line(std::string(text.substr(0, 40))));
  };
  if (has_scores_) {
    s.array([&] {
      s.expect('[');
      const std::string_view token = s.string();
      s.expect(',');
      number(token, scores_.emplace_back());
      s.expect(']');
      vocabulary_.emplace_back(token, static_cast<int32_t>(vocabulary_.size()));
    });
  } else {
    s.object([&](std::string_view token) {
      int32_t id = 0;
      number(token, id);
      vocabulary_.emplace_back(token, id);
    });
  }
  indexed_ = std::async(std::launch::async, [this] { index_vocabulary(); });
  resolve_later();
}

void ModelFile::index_vocabulary() {
  ids_.reserve(vocabulary_.size());
  for (const auto& [token, id] : vocabulary_)
    if (ids_.add(token, id) != id && !has_scores_)
      fail("{}: token {} stands twice in 'model.vocab'", where_, shown(token));
}

void ModelFile::read_merges(JsonScanner& s) {
  const auto is_pair = [&](bool so) {
    if (!so) fail("{}: merge {}: is no pair of tokens", where_, merges_ + texts_.size());
  };
  s.array([&] {
    // In growing parts, so that a huge file does not start a thread for each.
    if (texts_.size() >= std::max(kMergesAPart, merges_ / 8)) resolve_later();
    if (s.peek() == '"') {
      const std::string_view text = s.string();
      const size_t space = text.find(' ');
      if (space == text.npos || text.find(' ', space + 1) != text.npos)
        fail("{}: merge {}: {} is not two tokens with a space between them", where_, merges_ + texts_.size(),
             shown(text));
      texts_.emplace_back(text.substr(0, space), text.substr(space + 1));
      return;
    }
    is_pair(s.accept('[') && s.peek() == '"');
    const std::string_view left = s.string();
    is_pair(s.accept(',') && s.peek() == '"');
    texts_.emplace_back(left, s.string());
    is_pair(s.accept(']'));
  });
  resolve_later();
}

/// Has another thread resolve the merges read last, where the vocabulary is known.
void ModelFile::resolve_later() {
  if (!indexed_.valid() || texts_.empty()) return;
  const size_t first = std::exchange(merges_, merges_ + texts_.size());
  resolved_.push_back(std::async(std::launch::async, [this, first, indexed = indexed_, texts = std::move(texts_)] {
    indexed.get();
    return resolved(texts, first);
  }));
  texts_.clear();
}

void ModelFile::read_type() {
  const Json& model = rest_["model"];
  require(has_vocabulary_, "{}: key 'model.vocab' is missing or no object", where_);
  const char* guess = has_scores_ ? "Unigram" : has_merges_ ? "BPE" : "WordLevel";  // as old files leave it out
  type_ = get_or<std::string>(model, "type", guess, where_ + ": model");
  require(type_ == "BPE" || type_ == "Unigram" || type_ == "WordLevel",
          "{}: model: type {} cannot be read, only BPE, Unigram and WordLevel", where_, shown(type_));
  require(has_scores_ == (type_ == "Unigram"), "{}: 'model.vocab' is not what a {} model has", where_, type_);
  require(has_merges_ || type_ != "BPE", "{}: key 'model.merges' is missing or no list", where_);
}

void ModelFile::place(TokenTable& tokens) const {
  tokens.most_ids = std::max<size_t>(1 << 20, 2 * vocabulary_.size());
  int64_t ids = 0;
  for (const auto& [token, id] : vocabulary_) ids = std::max(ids, int64_t{id} + 1);
  tokens.resize(std::min(static_cast<size_t>(ids), tokens.most_ids));
  for (const auto& [token, id] : vocabulary_) tokens.place(id, token, true, where_);
}

/// The merges of `texts`, of which the first has the rank `rank`; in groups, whose searches wait for memory together.
std::vector<Merge> ModelFile::resolved(const MergeTexts& texts, size_t rank) const {
  constexpr size_t kGroup = 32;
  struct Wanted {
    std::string_view text;
    uint64_t hash = 0;
  };
  std::array<Wanted, 3 * kGroup> wanted;
  std::array<std::string, kGroup> joined;
  std::vector<Merge> merges(texts.size());
  for (size_t begin = 0; begin < texts.size(); begin += kGroup) {
    const size_t count = std::min(kGroup, texts.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      const auto& [left, right] = texts[begin + i];
      joined[i].assign(left).append(right);
      wanted[3 * i] = {left}, wanted[3 * i + 1] = {right}, wanted[3 * i + 2] = {joined[i]};
      for (size_t k = 3 * i; k < 3 * i + 3; ++k) ids_.prefetch(wanted[k].hash = TokenMap::hash(wanted[k].text));
    }
    for (size_t i = 0; i < count; ++i) {
      int32_t ids[3];
      for (size_t k = 0; k < 3; ++k) {
        const Wanted& w = wanted[3 * i + k];
        ids[k] = ids_.find(w.text, w.hash);
        if (ids[k] < 0 || w.text.empty())
          fail("{}: merge {}: token {} is not in the vocabulary", where_, rank + begin + i, shown(w.text));
      }
      merges[begin + i] = {ids[0], ids[1], ids[2], static_cast<int32_t>(rank + begin + i)};
    }
  }
  return merges;
}

std::vector<Merge> ModelFile::all_merges() const {
  std::vector<Merge> merges;
  merges.reserve(merges_);
  for (const auto& part : resolved_) merges.insert(merges.end(), part.get().begin(), part.get().end());
  return merges;
}

std::unique_ptr<WordModel> ModelFile::make(const TokenTable& tokens, bool byte_level) const {
  if (type_ == "BPE") return make_bpe(tokens, byte_level);
  return type_ == "Unigram" ? make_unigram(tokens) : make_word_level(tokens);
}

std::unique_ptr<WordModel> ModelFile::make_bpe(const TokenTable& tokens, bool byte_level) const {
  const Json& model = rest_["model"];
  const std::string where = where_ + ": model";
  allow(model,
        {"merges", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
         "byte_fallback", "ignore_merges"},
        where);
  require(get_or(model, "dropout", 0.0, where) == 0.0, "{}: dropout is set; remove it, encoding must not be random",
          where);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    require(get_or<std::string>(model, key, "", where).empty(), "{}: {} cannot be read", where, key);
  Bpe::Symbols s;
  s.byte_level = byte_level;
  s.texts.assign(tokens.texts.begin(), tokens.texts.end());
  s.where = where;
  for (size_t id = 0; id < s.texts.size(); ++id)
    if (!tokens.in_vocabulary[id]) s.texts[id] = {};
  if (get_or(model, "byte_fallback", false, where))
    s.byte_tokens = byte_tokens([&](const auto& t) { return id_of(t); });
  const auto unknown = get_or<std::string>(model, "unk_token", "", where);
  const bool has_unknown = model.contains("unk_token") && !model["unk_token"].is_null();
  s.unknown = has_unknown ? id_of(unknown) : -1;
  s.unknown_missing = has_unknown && s.unknown < 0;
  s.fuse_unknown = get_or(model, "fuse_unk", false, where);
  s.whole_words = get_or(model, "ignore_merges", false, where);
  return std::make_unique<Bpe>(std::move(s), all_merges());
}

std::unique_ptr<WordModel> ModelFile::make_unigram(const TokenTable& tokens) const {
  const Json& model = rest_["model"];
  const std::string where = where_ + ": model";
  allow(model, {"unk_id", "byte_fallback"}, where);
  Unigram::Pieces p;
  p.texts.assign(tokens.texts.begin(), tokens.texts.begin() + vocabulary_.size());
  p.scores = scores_;
  for (const double score : scores_) require(std::isfinite(score), "{}: a score is not finite", where);
  p.usable.assign(scores_.size(), true);
  p.lowest_score = scores_.empty() ? 0 : *std::min_element(scores_.begin(), scores_.end());
  p.where = where;
  p.unknown = get_or(model, "unk_id", -1, where);
  require(p.unknown >= -1 && p.unknown < static_cast<int64_t>(scores_.size()),
          "{}: unk_id {} is outside the vocabulary", where, p.unknown);
  if (get_or(model, "byte_fallback", false, where))
    p.byte_tokens = byte_tokens([&](const auto& t) { return id_of(t); });
  return std::make_unique<Unigram>(std::move(p));
}

std::unique_ptr<WordModel> ModelFile::make_word_level(const TokenTable& tokens) const {
  const Json& model = rest_["model"];
  const std::string where = where_ + ": model";
  allow(model, {"unk_token"}, where);
  std::unordered_map<std::string, int32_t> words;
  for (size_t id = 0; id < tokens.texts.size(); ++id)
    if (tokens.in_vocabulary[id]) words.emplace(tokens.texts[id], static_cast<int32_t>(id));
  return std::make_unique<WordLevel>(std::move(words), id_of(get_or<std::string>(model, "unk_token", "", where)),
                                     where);
}

}  // namespace jet
