#include "jet/text/tokenizer_file.h"

#include <deque>
#include <utility>

#include "jet/base/file.h"
#include "jet/base/hash.h"
#include "jet/text/component.h"
#include "jet/text/model_file.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

class Reader {
 public:
  Reader(const std::string& path, std::string_view text) : path_(path), model_(text, path) {
    parts_.hash = content_hash(text);
  }

  TokenizerParts read(const std::string& config_path) {
    for (const auto& [key, value] : model_.rest().items()) check_key(key);
    model_.place(parts_.tokens);
    read_normalizer(part("normalizer"), in("normalizer"), parts_.normalizers);
    parts_.pre_tokenizer = PreTokenizer(part("pre_tokenizer"), in("pre_tokenizer"), model_.type() == "BPE");
    parts_.model = model_.make(parts_.tokens, parts_.pre_tokenizer.byte_level());
    read_added();
    read_post_processor(part("post_processor"));
    parts_.decoder = Decoder(part("decoder"), in("decoder"));
    const TokenizerConfig config = read_tokenizer_config(config_path);
    const auto find = [&](std::string_view text) { return id_of(text); };
    parts_.bos = named_token(config.bos, "bos_token", config_path, find);
    parts_.eos = named_token(config.eos, "eos_token", config_path, find);
    return std::move(parts_);
  }

 private:
  Json part(const char* key) const { return model_.rest().contains(key) ? model_.rest()[key] : Json(); }
  std::string in(const std::string& what) const { return path_ + ": " + what; }
  int32_t id_of(std::string_view token) const {
    const int32_t id = model_.id_of(token);
    return id >= 0 ? id : added_.find(token);
  }

  void check_key(const std::string& key) const;
  void read_added();
  void read_post_processor(const Json& j);
  void read_template(const Component& c);

  std::string path_;
  ModelFile model_;
  TokenMap added_;
  std::deque<std::string> added_names_;
  TokenizerParts parts_;
};

void Reader::check_key(const std::string& key) const {
  static constexpr const char* kKnown[] = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
                                           "pre_tokenizer", "post_processor", "decoder", "model"};
  bool known = false;
  for (const char* k : kKnown) known = known || key == k;
  require(known, "{}: the key {} is not known", path_, shown(key));
}

void Reader::read_added() {
  const Json& list = model_.added_tokens();
  require(list.is_null() || list.is_array(), "{}: 'added_tokens' is no list", path_);
  const std::string where = in("added_tokens");
  for (const Json& j : list) {
    AddedToken t = read_added_token(j, where);
    if (!j.contains("id")) fail("{}: token {} has no id", where, shown(t.content));
    const Json& id = j["id"];
    if (!id.is_number_integer())
      fail("{}: token {} has the id '{}'", where, shown(t.content), one_line(json_text(id).substr(0, 40)));
    parts_.tokens.place(id.is_number_unsigned() && id.get<uint64_t>() > INT32_MAX ? INT64_MAX : id.get<int64_t>(),
                        t.content, false, where);
    t.id = id.get<int32_t>();
    int32_t known = model_.id_of(t.content);
    if (known < 0) known = added_.add(added_names_.emplace_back(t.content), t.id);
    if (known != t.id)
      fail("{}: token {} has the id {} and in the vocabulary {}", where, shown(t.content), t.id, known);
    parts_.tokens.special[t.id] = parts_.tokens.special[t.id] || t.special;
    parts_.look_for(std::move(t), where);
  }
}

void Reader::read_post_processor(const Json& j) {
  if (j.is_null()) return;
  const Component c(j, in("post_processor"));
  if (c.type == "Sequence") {
    for (const Json& step : c.list("processors")) read_post_processor(step);
  } else if (c.type == "TemplateProcessing") {
    read_template(c);
  } else if (c.type == "ByteLevel") {
    c.allow({"add_prefix_space", "trim_offsets", "use_regex"});  // of offsets
  } else {
    c.refuse("ByteLevel, TemplateProcessing and Sequence");
  }
}

void Reader::read_template(const Component& c) {
  c.allow({"single", "pair", "special_tokens"});  // pairs of texts are not encoded here
  const Json tokens = c.get_or("special_tokens", Json::object());
  bool seen_text = false;
  std::vector<int32_t> before, after;
  for (const Json& piece : c.get<Json>("single")) {
    if (piece.is_object() && piece.contains("Sequence")) {
      require(get_or<std::string>(piece["Sequence"], "id", "A", c.where) == "A", "{}: 'single' has a second text",
              c.where);
      require(!seen_text, "{}: the text stands twice in 'single'", c.where);
      seen_text = true;
      continue;
    }
    const auto name = get<std::string>(get<Json>(piece, "SpecialToken", c.where), "id", c.where);
    for (const Json& id : get<Json>(get<Json>(tokens, name, c.where), "ids", c.where)) {
      const auto value = fits<int32_t>(id) ? id.get<int32_t>() : -1;
      require(value >= 0 && static_cast<size_t>(value) < parts_.tokens.texts.size(),
              "{}: id {} of {} is outside the vocabulary", c.where, one_line(json_text(id).substr(0, 40)), shown(name));
      (seen_text ? after : before).push_back(value);
    }
  }
  require(seen_text, "{}: 'single' has no place for the text", c.where);
  parts_.before.insert(parts_.before.begin(), before.begin(), before.end());
  parts_.after.insert(parts_.after.end(), after.begin(), after.end());
}

}  // namespace

TokenizerParts read_tokenizer_file(const std::string& path, const std::string& config_path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return Reader(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}).read(config_path);
}

}  // namespace jet
