#include "jet/serve/reply_form.h"

#include <algorithm>

#include "jet/grammar/grammar_compiler.h"
#include "jet/serve/api_error.h"
#include "jet/serve/json_form.h"
#include "jet/serve/tool_form.h"

namespace jet {
namespace {

constexpr size_t kMostChoices = 4096;

bool has_value(const Json& j, const char* key) { return j.is_object() && j.contains(key) && !j[key].is_null(); }

Json any_object() { return {{"type", "object"}, {"additionalProperties", true}}; }

/// A schema, or the text of one.
Json schema_form(const Json& given, const char* key) {
  Json schema = given;
  if (given.is_string()) {
    try {
      schema = parse_json(given.get<std::string>(), key);
    } catch (const Error& e) { throw ApiError(400, e.what()); }
  }
  if (!schema.is_object() && !schema.is_boolean())
    throw ApiError(400, fmt::format("request: '{}' is no JSON schema", key));
  return json_form(schema);
}

Json text_of(const Json& given, const char* key) {
  if (!given.is_string() || given.get_ref<const std::string&>().empty())
    throw ApiError(400, fmt::format("request: '{}' is no text", key));
  return given;
}

Json regex_form(const Json& given, const char* key) { return {{"type", "regex"}, {"pattern", text_of(given, key)}}; }

Json grammar_form(const Json& given, const char* key) {
  const Json text = text_of(given, key);
  if (text.get_ref<const std::string&>().find("::=") == std::string::npos)
    throw ApiError(400, fmt::format("request: '{}' has no rules; write them as root ::= ...", key));
  return {{"type", "grammar"}, {"grammar", text}};
}

Json choice_form(const Json& given, const char* key) {
  const auto is_text = [](const Json& j) { return j.is_string(); };
  if (!given.is_array() || given.empty() || given.size() > kMostChoices ||
      !std::all_of(given.begin(), given.end(), is_text))
    throw ApiError(400, fmt::format("request: '{}' is no list of 1 to {} texts", key, kMostChoices));
  Json elements = Json::array();
  for (const Json& text : given) elements.push_back({{"type", "const_string"}, {"value", text}});
  return elements.size() == 1 ? elements[0] : Json{{"type", "or"}, {"elements", elements}};
}

/// A structural tag as xgrammar and vLLM have it, or the text of one.
Json tag_form(const Json& given, const char* key) {
  Json tag = given.is_string() ? parse_json(given.get<std::string>(), key) : given;
  if (!has_value(tag, "format") || !tag["format"].is_object())
    throw ApiError(400, fmt::format("request: '{}' has no 'format'", key));
  return tag["format"];
}

Json response_format_form(const Json& format) {
  const Json type = format.is_object() ? format.value("type", Json()) : Json();
  if (type == "text") return nullptr;
  if (type == "json_schema") {
    if (has_value(format, "schema")) return schema_form(format["schema"], "response_format");
    if (!has_value(format, "json_schema") || !has_value(format["json_schema"], "schema"))
      throw ApiError(400, "request: 'response_format' of type json_schema has no 'json_schema' with a 'schema'");
    return schema_form(format["json_schema"]["schema"], "response_format");
  }
  if (type == "json_object")
    return has_value(format, "schema") ? schema_form(format["schema"], "response_format") : json_form(any_object());
  if (type == "structural_tag") return tag_form(format, "response_format");
  throw ApiError(400, "request: 'response_format' is of type text, json_object, json_schema or structural_tag");
}

struct Way {
  const char* key;
  Json (*form)(const Json& given, const char* key);
};
constexpr Way kWays[] = {
    {"json_schema", schema_form},     {"guided_json", schema_form}, {"grammar", grammar_form},
    {"guided_grammar", grammar_form}, {"guided_regex", regex_form}, {"guided_choice", choice_form},
};
constexpr Way kStructured[] = {
    {"json", schema_form},   {"json_object", [](const Json&, const char*) { return json_form(any_object()); }},
    {"regex", regex_form},   {"grammar", grammar_form},
    {"choice", choice_form}, {"structural_tag", tag_form},
};

/// What the text is to be; null where the client does not say.
Json asked_form(const Json& body) {
  std::vector<Json> forms;
  if (has_value(body, "response_format")) forms.push_back(response_format_form(body["response_format"]));
  for (const Way& way : kWays)
    if (has_value(body, way.key)) forms.push_back(way.form(body[way.key], way.key));
  if (has_value(body, "structured_outputs")) {
    const size_t before = forms.size();
    for (const Way& way : kStructured)
      if (has_value(body["structured_outputs"], way.key))
        forms.push_back(way.form(body["structured_outputs"][way.key], way.key));
    if (forms.size() == before)
      throw ApiError(
          400,
          "request: 'structured_outputs' is {\"json\", \"regex\", \"grammar\", \"choice\" or \"structural_tag\": ...}");
  }
  std::erase(forms, Json());
  if (forms.size() > 1) throw ApiError(400, "request: the form of the text is asked for in more than one way");
  return forms.empty() ? Json() : forms[0];
}

/// Any text; where the client gives a budget, of so many tokens.
Json thought_form(const Json& body) {
  Json form{{"type", "any_text"}};
  if (!has_value(body, "thinking_budget")) return form;
  if (!fits<int32_t>(body["thinking_budget"]) || body["thinking_budget"] < 0)
    throw ApiError(400, "request: 'thinking_budget' is no number of tokens");
  form["max_tokens"] = body["thinking_budget"];
  return form;
}

/// After what the reply thinks, which the prompt has opened or the model may open.
Json after_thinking(const ServedModel& model, const ServedPrompt& prompt, const Json& body, Json form) {
  std::string_view text = prompt.text;
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  const bool is_over = text.ends_with("</think>");
  if (!prompt.thinking && (is_over || model.tokenizer.id_of("<think>") < 0)) return form;
  const Json thought{{"type", "sequence"},
                     {"elements", Json::array({{{"type", "tag"},
                                                {"begin", prompt.thinking ? "" : "<think>"},
                                                {"content", thought_form(body)},
                                                {"end", "</think>"}},
                                               {{"type", "regex"}, {"pattern", "[ \\n]{0,4}"}}})}};
  const Json first = prompt.thinking ? thought : Json{{"type", "optional"}, {"content", thought}};
  return {{"type", "sequence"}, {"elements", Json::array({first, std::move(form)})}};
}

}  // namespace

Json reply_form(const ServedModel& model, const Json& body, const ServedPrompt* prompt) {
  Json form = asked_form(body);
  if (!prompt) return form;
  const ToolChoice choice = tool_choice_of(body);
  if (choice.kind == ToolChoice::required) {
    form = calls_form(model, choice);
  } else if (choice.kind == ToolChoice::free && !form.is_null()) {
    form = {{"type", "or"}, {"elements", Json::array({form, calls_form(model, choice)})}};
  } else if (choice.strict) {
    form = text_with_calls_form(model, choice);
  }
  return form.is_null() ? form : after_thinking(model, *prompt, body, std::move(form));
}

std::shared_ptr<const TokenGrammar> reply_grammar(const ServedModel& model, const Json& body,
                                                  const ServedPrompt* prompt) {
  const Json form = reply_form(model, body, prompt);
  if (form.is_null()) return nullptr;
  if (!GrammarCompiler::is_built_in() || !model.grammars)
    throw ApiError(501, "this server was built without grammars (xgrammar): it can make free text only");
  try {
    return model.grammars->compile(form);
  } catch (const GrammarBusy& e) { throw ApiError(429, e.what()); } catch (const Error& e) {
    throw ApiError(400, fmt::format("request: {}", e.what()));
  }
}

}  // namespace jet
