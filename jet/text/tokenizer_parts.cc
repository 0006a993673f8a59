#include "jet/text/tokenizer_parts.h"

#include <charconv>
#include <utility>

#include "jet/base/file.h"
#include "jet/text/utf8.h"

namespace jet {

void TokenTable::resize(size_t ids) {
  texts.resize(ids);
  in_vocabulary.resize(ids);
  special.resize(ids);
}

void TokenTable::place(int64_t id, std::string_view text, bool of_model, const std::string& where) {
  if (id < 0 || static_cast<uint64_t>(id) >= most_ids)
    fail("{}: token {} has the id '{}'; it must be in [0, {})", where, shown(text), id, most_ids);
  const auto at = static_cast<size_t>(id);
  if (at >= texts.size()) resize(at + 1);
  if (!texts[at].empty() && texts[at] != text)
    fail("{}: id {} is given to token {} and to another", where, id, shown(text));
  texts[at] = text;
  if (of_model) in_vocabulary[at] = true;
}

void TokenizerParts::look_for(AddedToken token, const std::string& where) {
  if (!token.normalized) return raw_tokens.add(std::move(token));
  bool first = true;
  const std::string given = token.content;
  for (const auto& n : normalizers) n->apply(token.content, first);
  if (token.content.empty() && !given.empty())
    fail("{}: token {} is nothing once it is normalized; set its 'normalized' to false", where, shown(given));
  tokens.texts[token.id] = token.content;  // so the library decodes it, too
  normalized_tokens.add(std::move(token));
}

AddedToken read_added_token(const Json& j, const std::string& where) {
  AddedToken t;
  t.content = get<std::string>(j, "content", where);
  t.special = get_or(j, "special", false, where);
  t.normalized = get_or(j, "normalized", !t.special, where);
  t.left_strip = get_or(j, "lstrip", false, where);
  t.right_strip = get_or(j, "rstrip", false, where);
  t.single_word = get_or(j, "single_word", false, where);
  for (const auto& [key, value] : j.items()) {
    static constexpr const char* kKnown[] = {"id",     "content", "special",     "normalized",
                                             "lstrip", "rstrip",  "single_word", "__type"};
    bool known = false;
    for (const char* k : kKnown) known = known || key == k;
    if (!known) fail("{}: token {} has the field {}, which is not known", where, shown(t.content), shown(key));
  }
  return t;
}

TokenizerConfig read_tokenizer_config(const std::string& path) {
  TokenizerConfig c;
  if (!file_exists(path)) return c;
  const SortedJson config = parse_sorted_json(read_file(path), path);  // it may list thousands of tokens
  require(config.is_object(), "{}: is no JSON object", path);
  const auto token = [&](const char* key) {
    Json value = config.contains(key) ? Json(config[key]) : Json();
    if (value.is_object()) value = get<Json>(value, "content", path);
    if (value.is_null()) return std::string();
    require(value.is_string(), "{}: '{}' is no string", path, key);
    return value.get<std::string>();
  };
  const auto flag = [&](const char* key) {
    const Json value = config.contains(key) ? Json(config[key]) : Json();
    require(value.is_null() || value.is_boolean(), "{}: '{}' is neither true nor false", path, key);
    return value.is_null() ? -1 : static_cast<int>(value.get<bool>());
  };
  c.bos = token("bos_token");
  c.eos = token("eos_token");
  c.add_bos = flag("add_bos_token");
  c.add_eos = flag("add_eos_token");
  if (!config.contains("added_tokens_decoder")) return c;
  const auto& added = config["added_tokens_decoder"];
  require(added.is_object() || added.is_null(), "{}: 'added_tokens_decoder' is no object", path);
  for (const auto& [key, value] : added.items()) {
    AddedToken t = read_added_token(Json(value), path);
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), t.id);
    require(error == std::errc() && end == key.data() + key.size(), "{}: 'added_tokens_decoder' has the id {}", path,
            shown(key));
    c.added.push_back(std::move(t));
  }
  return c;
}

}  // namespace jet
