#include "jet/text/tokenizer_file.h"

#include <algorithm>
#include <cctype>
#include <deque>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/hash.h"
#include "jet/base/json.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr size_t kMostSplits = 100;  // each searches within the pieces of the one before it

constexpr const char* kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// The same pattern with white space as Unicode (and Hugging Face) define it: PCRE2's own \s holds U+180E as well.
std::string with_unicode_space(const std::string& pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    const char c = pattern[++i];
    out += c == 's' ? "\\p{White_Space}" : c == 'S' ? "\\P{White_Space}" : std::string{'\\', c};
  }
  return out;
}

std::string literal_pattern(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 128 && !std::isalnum(static_cast<unsigned char>(c))) out += '\\';
    out += c;
  }
  return out;
}

class Reader {
 public:
  explicit Reader(const std::string& folder) : path_(folder + "/tokenizer.json") {
    require(file_exists(path_), "{}: is missing; point to a folder with a model and its tokenizer", path_);
    const std::string text = read_file(path_);
    file_.hash = content_hash(text);
    SortedJson all = parse_sorted_json(text, path_);
    require(all.is_object() && all.contains("model") && all["model"].is_object(), "{}: key 'model' is missing", path_);
    vocabulary_ = take(all["model"], "vocab");
    merges_ = take(all["model"], "merges");
    json_ = Json(all);
  }

  TokenizerFile read(const std::string& folder) {
    read_model();
    read_vocabulary();
    read_merges();
    read_added();
    read_normalizer(part("normalizer"));
    read_pre_tokenizer(part("pre_tokenizer"));
    require(byte_level_, "{}: pre_tokenizer has no ByteLevel; only byte-level tokenizers can be read", path_);
    read_post_processor(part("post_processor"));
    read_decoder(part("decoder"));
    read_config(folder + "/tokenizer_config.json");
    return std::move(file_);
  }

 private:
  static SortedJson take(SortedJson& from, const char* key) {
    if (!from.contains(key)) return {};
    SortedJson value = std::move(from[key]);
    from.erase(key);
    return value;
  }
  Json part(const char* key) const { return json_.contains(key) ? json_[key] : Json(); }
  std::string type_of(const Json& j, const std::string& where) const { return get<std::string>(j, "type", where); }
  std::string in(const std::string& what) const { return path_ + ": " + what; }

  void read_model();
  void read_vocabulary();
  void read_merges();
  void read_added();
  void read_normalizer(const Json& j);
  void read_pre_tokenizer(const Json& j);
  void read_split(const Json& j);
  void read_byte_level(const Json& j);
  void add_split(const std::string& pattern, const std::string& where);
  void read_post_processor(const Json& j);
  void read_template(const Json& j);
  void read_decoder(const Json& j);
  void read_config(const std::string& path);
  int32_t checked_id(const SortedJson& id, const std::string& token) const;
  void place(int32_t id, const std::string& token, bool in_vocabulary);
  int32_t id_of(std::string_view token) const;

  std::string path_;
  SortedJson vocabulary_, merges_;
  Json json_;
  bool byte_level_ = false;
  std::unordered_map<std::string_view, int32_t> ids_;  // views of the keys of vocabulary_ and of added_names_
  std::deque<std::string> added_names_;
  TokenizerFile file_;
};

void Reader::read_model() {
  const Json& model = json_["model"];
  const std::string where = in("model"), type = get_or<std::string>(model, "type", "BPE", where);
  require(type == "BPE", "{}: type {} cannot be read, only BPE", where, shown(type));
  require(get_or(model, "dropout", 0.0, where) == 0.0, "{}: dropout is set; remove it, encoding must not be random",
          where);
  require(!get_or(model, "byte_fallback", false, where), "{}: byte_fallback cannot be read", where);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    require(get_or<std::string>(model, key, "", where).empty(), "{}: {} cannot be read", where, key);
  file_.ignore_merges = get_or(model, "ignore_merges", false, where);
}

int32_t Reader::checked_id(const SortedJson& id, const std::string& token) const {
  // Ids may leave holes, but an id far beyond the number of tokens is damage and would only take memory.
  const uint64_t limit = std::max<uint64_t>(1 << 20, 2 * vocabulary_.size());
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= limit)
    fail("{}: token {} has the id {}; it must be in [0, {})", path_, shown(token), shown(json_text(id)), limit);
  return id.get<int32_t>();
}

void Reader::place(int32_t id, const std::string& token, bool in_vocabulary) {
  if (static_cast<size_t>(id) >= file_.bytes.size()) {
    file_.bytes.resize(id + 1);
    file_.in_vocabulary.resize(id + 1);
    file_.special.resize(id + 1);
  }
  std::string bytes = bytes_from_token(token);
  if (!file_.bytes[id].empty() && file_.bytes[id] != bytes)
    fail("{}: id {} is given to token {} and to another", path_, id, shown(token));
  file_.bytes[id] = std::move(bytes);
  if (in_vocabulary) file_.in_vocabulary[id] = true;
}

int32_t Reader::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

void Reader::read_vocabulary() {
  require(vocabulary_.is_object(), "{}: key 'model.vocab' is missing or no object", path_);
  ids_.reserve(vocabulary_.size());
  for (const auto& [token, id] : vocabulary_.get_ref<const SortedJson::object_t&>()) {
    const int32_t checked = checked_id(id, token);
    ids_.emplace(token, checked);
    place(checked, token, true);
  }
  for (int byte = 0; byte < 256; ++byte) file_.byte_ids[byte] = id_of(token_from_byte(static_cast<uint8_t>(byte)));
}

void Reader::read_merges() {
  require(merges_.is_array(), "{}: key 'model.merges' is missing or no list", path_);
  file_.merges.reserve(merges_.size());
  std::string merged;
  for (const auto& m : merges_) {
    const size_t rank = file_.merges.size();
    std::string_view left, right;
    if (m.is_string()) {
      const std::string_view text = m.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
        fail("{}: merge {}: {} is not two tokens with a space between them", path_, rank, shown(text));
      left = text.substr(0, space), right = text.substr(space + 1);
    } else {
      require(m.is_array() && m.size() == 2 && m[0].is_string() && m[1].is_string(),
              "{}: merge {}: is no pair of tokens", path_, rank);
      left = m[0].get_ref<const std::string&>(), right = m[1].get_ref<const std::string&>();
    }
    merged.assign(left).append(right);
    const Merge merge{id_of(left), id_of(right), id_of(merged)};
    if (merge.left < 0 || merge.right < 0 || merge.merged < 0) {
      const std::string_view unknown = merge.left < 0 ? left : merge.right < 0 ? right : merged;
      fail("{}: merge {}: token {} is not in the vocabulary", path_, rank, shown(unknown));
    }
    file_.merges.push_back(merge);
  }
}

void Reader::read_added() {
  const Json list = part("added_tokens");
  require(list.is_null() || list.is_array(), "{}: 'added_tokens' is no list", path_);
  for (const Json& j : list) {
    const std::string where = in("added_tokens");
    AddedToken t;
    t.content = get<std::string>(j, "content", where);
    require(j.contains("id"), "{}: token {} has no id", where, shown(t.content));
    t.id = checked_id(SortedJson(j["id"]), t.content);
    t.special = get_or(j, "special", false, where);
    t.normalized = get_or(j, "normalized", !t.special, where);
    t.left_strip = get_or(j, "lstrip", false, where);
    t.right_strip = get_or(j, "rstrip", false, where);
    t.single_word = get_or(j, "single_word", false, where);
    const auto known = ids_.emplace(added_names_.emplace_back(t.content), t.id).first->second;
    require(known == t.id, "{}: token {} has the id {} and in the vocabulary {}", where, shown(t.content), t.id, known);
    place(t.id, t.content, false);
    file_.special[t.id] = file_.special[t.id] || t.special;
    file_.added.push_back(std::move(t));
  }
}

void Reader::read_normalizer(const Json& j) {
  if (j.is_null()) return;
  const std::string where = in("normalizer"), type = type_of(j, where);
  if (type == "NFC") {
    file_.nfc = true;
  } else if (type == "Sequence") {
    for (const Json& step : get<Json>(j, "normalizers", where)) read_normalizer(step);
  } else {
    fail("{}: type {} cannot be read, only NFC and Sequence", where, shown(type));
  }
}

void Reader::read_pre_tokenizer(const Json& j) {
  if (j.is_null()) return;
  const std::string where = in("pre_tokenizer"), type = type_of(j, where);
  require(!byte_level_, "{}: {} after ByteLevel cannot be read", where, shown(type));
  if (type == "Sequence") {
    for (const Json& step : get<Json>(j, "pretokenizers", where)) read_pre_tokenizer(step);
  } else if (type == "Split") {
    read_split(j);
  } else if (type == "Digits") {
    add_split(get_or(j, "individual_digits", false, where) ? "\\p{N}" : "\\p{N}+", where);
  } else if (type == "ByteLevel") {
    read_byte_level(j);
  } else {
    fail("{}: type {} cannot be read, only Sequence, Split, Digits and ByteLevel", where, shown(type));
  }
}

void Reader::read_split(const Json& j) {
  const std::string where = in("pre_tokenizer Split"), behavior = get<std::string>(j, "behavior", where);
  require(behavior == "Isolated", "{}: behavior {} cannot be read, only Isolated", where, shown(behavior));
  require(!get_or(j, "invert", false, where), "{}: invert cannot be read", where);
  const Json pattern = get<Json>(j, "pattern", where);
  const bool is_regex = pattern.is_object() && pattern.contains("Regex");
  add_split(is_regex ? with_unicode_space(get<std::string>(pattern, "Regex", where))
                     : literal_pattern(get<std::string>(pattern, "String", where)),
            where);
}

void Reader::read_byte_level(const Json& j) {
  const std::string where = in("pre_tokenizer ByteLevel");
  byte_level_ = true;
  file_.prefix_space = get_or(j, "add_prefix_space", true, where);
  require(!file_.prefix_space || file_.splits.empty(), "{}: add_prefix_space after another step cannot be read", where);
  if (get_or(j, "use_regex", true, where)) add_split(with_unicode_space(kGpt2Words), where);
}

void Reader::add_split(const std::string& pattern, const std::string& where) {
  require(file_.splits.size() < kMostSplits, "{}: more than {} splits in a row", where, kMostSplits);
  file_.splits.emplace_back(pattern, where);
}

void Reader::read_post_processor(const Json& j) {
  if (j.is_null()) return;
  const std::string where = in("post_processor"), type = type_of(j, where);
  if (type == "Sequence") {
    for (const Json& step : get<Json>(j, "processors", where)) read_post_processor(step);
  } else if (type == "TemplateProcessing") {
    read_template(j);
  } else {
    require(type == "ByteLevel", "{}: type {} cannot be read, only ByteLevel, TemplateProcessing and Sequence", where,
            shown(type));
  }
}

void Reader::read_template(const Json& j) {
  const std::string where = in("post_processor TemplateProcessing");
  const Json tokens = get_or(j, "special_tokens", Json::object(), where);
  bool seen_text = false;
  std::vector<int32_t> before, after;
  for (const Json& piece : get<Json>(j, "single", where)) {
    if (piece.is_object() && piece.contains("Sequence")) {
      require(!seen_text, "{}: the text stands twice in 'single'", where);
      seen_text = true;
      continue;
    }
    const auto name = get<std::string>(get<Json>(piece, "SpecialToken", where), "id", where);
    for (const Json& id : get<Json>(get<Json>(tokens, name, where), "ids", where)) {
      const int32_t value = checked_id(SortedJson(id), name);
      require(static_cast<size_t>(value) < file_.bytes.size(), "{}: id {} of {} is outside the vocabulary", where,
              value, shown(name));
      (seen_text ? after : before).push_back(value);
    }
  }
  require(seen_text, "{}: 'single' has no place for the text", where);
  file_.before.insert(file_.before.begin(), before.begin(), before.end());
  file_.after.insert(file_.after.end(), after.begin(), after.end());
}

void Reader::read_decoder(const Json& j) {
  const std::string where = in("decoder");
  const std::string type = j.is_null() ? "null" : type_of(j, where);
  if (type == "Sequence") {
    for (const Json& step : get<Json>(j, "decoders", where)) read_decoder(step);
  } else {
    require(type == "ByteLevel", "{}: type {} cannot be read, only ByteLevel", where, shown(type));
  }
}

void Reader::read_config(const std::string& path) {
  if (!file_exists(path)) return;
  const SortedJson config = parse_sorted_json(read_file(path), path);  // it may list thousands of tokens
  require(config.is_object(), "{}: is no JSON object", path);
  const auto token = [&](const char* key) {
    Json value = config.contains(key) ? Json(config[key]) : Json();
    if (value.is_object()) value = get<Json>(value, "content", path);
    if (value.is_null()) return -1;
    require(value.is_string(), "{}: '{}' is no string", path, key);
    const auto name = value.get<std::string>();
    require(id_of(name) >= 0, "{}: '{}' is {}, which the tokenizer does not have", path, key, shown(name));
    return id_of(name);
  };
  file_.bos = token("bos_token");
  file_.eos = token("eos_token");
}

}  // namespace

TokenizerFile read_tokenizer_file(const std::string& folder) { return Reader(folder).read(folder); }

}  // namespace jet
