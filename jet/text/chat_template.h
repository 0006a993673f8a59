// A conversation as the text and the tokens that a model was trained on.
//
//   messages --prepared--> template (jinja/) --> text, and which of it users wrote --> ids
//
// A model's template is the first of
//   <folder>/chat_template.jinja
//   <folder>/chat_template.json             {"chat_template": ...}
//   <folder>/tokenizer_config.json          {"chat_template": "...", or [{"name": "default", "template": "..."}, ...]}
//
// Special tokens are those of the template's own text: what stands in messages, tools, documents and variables is text,
// whatever it spells.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/text/jinja/jinja.h"
#include "jet/text/tokenizer.h"

namespace jet {

/// What a template is given. Null where there is none.
struct ChatInput {
  Json messages = Json::array();  // [{"role": ..., "content": ...}, ...]
  Json tools{}, documents{};
  bool add_generation_prompt = false;
  Json variables = Json::object();  // of the template's own: enable_thinking, ...
};

/// {"messages": [...], "tools", "documents", "add_generation_prompt", any other: a variable}, or a list of messages.
/// Throws Error naming `where`.
ChatInput chat_input_from(const Json& json, const std::string& where);

/// Messages as transformers hands them to a template: no key holds null, and what reasoning a message has stands under
/// `thinking`, in front, and `reasoning_content`. Throws Error on what is no list of objects.
Json prepared_messages(const Json& messages, const std::string& where = "messages");

class ChatTemplate {
 public:
  /// Of a model folder, or a file of a template alone. Throws Error where there is none, or it is damaged.
  static ChatTemplate load(const std::string& path);
  /// Nothing where the folder has none.
  static std::optional<ChatTemplate> find(const std::string& folder);
  /// `special_tokens`: {"bos_token": "<s>", ...}, as the template sees them.
  ChatTemplate(const std::string& source, const std::string& where, Json special_tokens = Json::object());

  /// Throws jinja::TemplateError: what the template refuses, with its line.
  jinja::Rendered render(const ChatInput& input, const jinja::Environment& environment = {}) const;

 private:
  ChatTemplate(std::map<std::string, jinja::Template> templates, Json special_tokens);

  std::map<std::string, jinja::Template> templates_;  // by name: default, tool_use
  Json special_tokens_;
};

/// Ids of a rendered text: special tokens are read in what the template wrote, and in nothing else.
std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, const jinja::Rendered& rendered);

}  // namespace jet
