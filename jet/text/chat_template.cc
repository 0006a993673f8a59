#include "jet/text/chat_template.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "jet/base/file.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

using Templates = std::map<std::string, jinja::Template>;

/// A string, or the content of an added token.
std::optional<std::string> token_text(const Json& token) {
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string())
    return token["content"].get<std::string>();
  return std::nullopt;
}

Json special_tokens_of(const Json& config) {
  Json made = Json::object();
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    if (!config.is_object() || !config.contains(key)) continue;
    if (const auto text = token_text(config[key])) made[key] = *text;
  }
  return made;
}

/// Templates by name of the value of "chat_template".
Templates templates_in(const Json& config, const std::string& where) {
  Templates made;
  if (!config.is_object() || !config.contains("chat_template") || config["chat_template"].is_null()) return made;
  const Json& value = config["chat_template"];
  if (value.is_string()) {
    made.emplace("default", jinja::Template(value.get<std::string>(), where + ": chat_template"));
    return made;
  }
  require(value.is_array(), "{}: key 'chat_template' must be a string or a list of named templates", where);
  for (const Json& item : value) {
    const auto name = get<std::string>(item, "name", where + ": chat_template");
    made.emplace(name, jinja::Template(get<std::string>(item, "template", where), where + ": chat_template " + name));
  }
  require(made.contains("default") || made.size() == 1, "{}: none of the chat templates is named default", where);
  return made;
}

/// The spellings of special tokens, by their first byte.
class Spellings {
 public:
  explicit Spellings(const Tokenizer& tokenizer) {
    for (const int32_t id : tokenizer.specials()) {
      const std::string& text = tokenizer.bytes_of(id);
      if (!text.empty()) by_first_[static_cast<unsigned char>(text[0])].push_back(text);
    }
  }
  /// Bytes of the longest that begins at `at`, 0 where there is none.
  size_t longest_at(std::string_view text, size_t at) const {
    size_t longest = 0;
    for (const auto& s : by_first_[static_cast<unsigned char>(text[at])])
      if (s.size() > longest && text.substr(at, s.size()) == s) longest = s.size();
    return longest;
  }

 private:
  std::array<std::vector<std::string>, 256> by_first_;
};

bool has_special(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  return std::any_of(ids.begin(), ids.end(), [&](int32_t id) { return tokenizer.is_special(id); });
}

/// Where to cut the text so that what users wrote spells no special token: around the first character of each spelling
/// that has a part of theirs. A text that a normalizer makes into one is cut everywhere.
std::vector<size_t> cuts_of(const Tokenizer& tokenizer, const Spellings& spellings, const jinja::Rendered& r) {
  const std::string_view text = r.text;
  const auto next = [&](size_t at) { return at + static_cast<size_t>(utf8_length(text, at)); };
  std::vector<size_t> cuts;
  auto range = r.foreign.begin();
  for (size_t at = 0; at < text.size() && range != r.foreign.end();) {
    while (range != r.foreign.end() && range->second <= at) ++range;
    const size_t size = spellings.longest_at(text, at);
    const bool is_foreign = range != r.foreign.end() && range->first < at + size;
    if (size > 0 && is_foreign) cuts.insert(cuts.end(), {at, next(at)});
    at = size > 0 && !is_foreign ? at + size : next(at);
  }
  for (const auto& [begin, end] : r.foreign) {
    const auto inside = std::lower_bound(cuts.begin(), cuts.end(), begin + 1);
    if (inside != cuts.end() && *inside <= end) continue;
    if (!has_special(tokenizer, tokenizer.encode_again(text.substr(begin, end - begin)))) continue;
    for (size_t at = begin; at < end; at = next(at)) cuts.push_back(at);
    std::sort(cuts.begin(), cuts.end());
  }
  return cuts;
}

}  // namespace

ChatInput chat_input_from(const Json& json, const std::string& where) {
  ChatInput input;
  if (json.is_array()) {
    input.messages = json;
    return input;
  }
  require(json.is_object() && json.contains("messages"),
          "{}: expected a list of messages, or an object with 'messages'", where);
  for (const auto& [key, value] : json.items()) {
    if (key == "messages")
      input.messages = value;
    else if (key == "tools")
      input.tools = value;
    else if (key == "documents")
      input.documents = value;
    else if (key == "add_generation_prompt")
      input.add_generation_prompt = get<bool>(json, key, where);
    else
      input.variables[key] = value;
  }
  return input;
}

Json prepared_messages(const Json& messages, const std::string& where) {
  require(messages.is_array(), "{}: expected a list of messages", where);
  Json made = Json::array();
  for (const Json& message : messages) {
    require(message.is_object(), "{}: a message is no object", where);
    Json reasoning, kept = Json::object();
    for (const char* key : {"reasoning_content", "thinking", "reasoning"})
      if (reasoning.is_null() && message.contains(key)) reasoning = message[key];
    if (!reasoning.is_null()) kept["thinking"] = reasoning;
    for (const auto& [key, value] : message.items())
      if (!value.is_null() && !kept.contains(key)) kept[key] = value;
    if (!reasoning.is_null()) kept["reasoning_content"] = reasoning;
    made.push_back(std::move(kept));
  }
  return made;
}

ChatTemplate::ChatTemplate(std::map<std::string, jinja::Template> templates, Json special_tokens)
    : templates_(std::move(templates)), special_tokens_(std::move(special_tokens)) {}

ChatTemplate::ChatTemplate(const std::string& source, const std::string& where, Json special_tokens)
    : special_tokens_(std::move(special_tokens)) {
  templates_.emplace("default", jinja::Template(source, where));
}

std::optional<ChatTemplate> ChatTemplate::find(const std::string& folder) {
  const std::string alone = folder + "/chat_template.jinja", processor = folder + "/chat_template.json",
                    config_path = folder + "/tokenizer_config.json";
  const Json config = file_exists(config_path) ? read_json(config_path) : Json::object();
  Templates found;
  if (file_exists(alone)) {
    found.emplace("default", jinja::Template(read_file(alone), alone));
  } else if (file_exists(processor)) {
    found = templates_in(read_json(processor), processor);
  }
  if (found.empty()) found = templates_in(config, config_path);
  if (found.empty()) return std::nullopt;
  return ChatTemplate(std::move(found), special_tokens_of(config));
}

ChatTemplate ChatTemplate::load(const std::string& path) {
  if (!is_folder(path)) return ChatTemplate(read_file(path), path);
  auto found = find(path);
  require(found.has_value(),
          "{}: no chat template, neither chat_template.jinja nor in tokenizer_config.json: this is no chat model; "
          "put a chat_template.jinja there, or use jet generate",
          path);
  return std::move(*found);
}

jinja::Rendered ChatTemplate::render(const ChatInput& input, const jinja::Environment& environment) const {
  jinja::Variables variables;
  for (const auto& [key, value] : special_tokens_.items()) variables[key] = jinja::value_from(value, 0);
  variables["messages"] = jinja::value_from(prepared_messages(input.messages), jinja::kForeign);
  variables["tools"] = jinja::value_from(input.tools, jinja::kForeign);
  variables["documents"] = jinja::value_from(input.documents, jinja::kForeign);
  variables["add_generation_prompt"] = input.add_generation_prompt;
  for (const auto& [key, value] : input.variables.items()) variables[key] = jinja::value_from(value, jinja::kForeign);
  auto chosen = templates_.find(!input.tools.is_null() && templates_.contains("tool_use") ? "tool_use" : "default");
  if (chosen == templates_.end()) chosen = templates_.begin();
  return chosen->second.render(variables, environment);
}

// Where nobody wrote a special token's spelling, the whole text is encoded as one: ids are those of transformers.
std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, const jinja::Rendered& rendered) {
  const std::string_view text = rendered.text;
  auto cuts = cuts_of(tokenizer, Spellings(tokenizer), rendered);
  cuts.push_back(text.size());
  std::vector<int32_t> ids;
  size_t at = 0;
  for (const size_t cut : cuts) {
    const std::string_view piece = text.substr(at, cut - at);
    auto part = tokenizer.encode_again(piece);
    const bool is_one = !piece.empty() && static_cast<size_t>(utf8_length(piece, 0)) == piece.size();
    if (is_one && cuts.size() > 1 && has_special(tokenizer, part)) part = tokenizer.encode("\xef\xbf\xbd");
    ids.insert(ids.end(), part.begin(), part.end());
    at = cut;
  }
  return ids;
}

}  // namespace jet
