// OpenAI's /v1/responses, without what it stores, by way of a chat request.
//
//   {"input": text or items, "instructions": text, "tools": [{"type": "function", "name", "parameters", ...}],
//    "tool_choice", "max_output_tokens", "text": {"format": {...}}, "reasoning": {"effort"}, "top_logprobs", ...}
//
//   item                                                becomes
//   {"role", "content": text or parts}                  a message ("type": "message", or none)
//   {"type": "reasoning", "content" or "summary"}       reasoning_content of the assistant's message behind it
//   {"type": "function_call", "call_id", "name", "arguments"}   one of the tool_calls of the assistant's message there
//   {"type": "function_call_output", "call_id", "output"}       a message of role tool
//
// Templates take one system message at the beginning: instructions and what the input begins with are put together.
// Nothing is stored. Clients that ask for "store" are told "store": false, as most leave it at its default and never
// come back; what refers to something stored is refused.
#include <algorithm>
#include <utility>

#include "jet/engine/sampling_json.h"
#include "jet/serve/api_error.h"
#include "jet/serve/text_request.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

/// Puts items together to the messages of a chat.
class ItemMessages {
 public:
  void add(const Json& item) {
    if (!item.is_object()) throw ApiError(400, "request: an item of 'input' is no object");
    const auto type = field(item, "type", std::string(item.contains("role") ? "message" : ""));
    if (type == "message") {
      add_message(field(item, "role", std::string()), text_of(item, "content"));
    } else if (type == "reasoning") {
      thinking_ += text_of(item, has_parts(item, "content") ? "content" : "summary");
    } else if (type == "function_call") {
      Json& calls = assistant()["tool_calls"];
      calls.push_back({{"id", field(item, "call_id", std::string())},
                       {"type", "function"},
                       {"function",
                        {{"name", field(item, "name", std::string())},
                         {"arguments", field(item, "arguments", std::string("{}"))}}}});
    } else if (type == "function_call_output") {
      thinking_.clear();
      list_.push_back({{"role", "tool"},
                       {"tool_call_id", field(item, "call_id", std::string())},
                       {"content", text_of(item, "output")}});
    } else {
      throw ApiError(400,
                     fmt::format("request: an item of 'input' is of type {}; message, reasoning, function_call and "
                                 "function_call_output can be read",
                                 shown(type)));
    }
  }
  void add_message(std::string role, const std::string& text) {
    if (role == "developer") role = "system";
    if (role == "system" && list_.size() == 1 && list_[0]["role"] == "system") {
      list_[0]["content"].get_ref<std::string&>() += "\n\n" + text;
    } else if (role == "assistant") {
      assistant(/*anew=*/thinking_.empty())["content"] = text;
    } else {
      thinking_.clear();
      list_.push_back({{"role", role}, {"content", text}});
    }
  }
  Json take() { return std::move(list_); }

 private:
  static bool has_parts(const Json& item, const char* key) { return has(item, key) && !item[key].empty(); }
  static std::string text_of(const Json& item, const char* key) {
    return has(item, key) ? text_of_content(item[key]) : "";
  }
  /// The message that the assistant is at, or a new one; with what it has thought before.
  Json& assistant(bool anew = false) {
    if (anew || !thinking_.empty() || list_.empty() || list_.back()["role"] != "assistant")
      list_.push_back({{"role", "assistant"}, {"content", ""}});
    if (!thinking_.empty()) list_.back()["reasoning_content"] = std::exchange(thinking_, "");
    return list_.back();
  }

  Json list_ = Json::array();
  std::string thinking_;
};

void refuse_what_is_stored(const Json& body) {
  for (const char* key : {"previous_response_id", "conversation", "prompt"}) {
    if (has(body, key)) {
      throw ApiError(400, fmt::format("request: '{}' refers to something stored, and this server stores nothing: send "
                                      "the whole conversation in 'input'",
                                      key));
    }
  }
  if (field(body, "background", false))
    throw ApiError(400, "request: 'background' needs stored responses, and this server stores nothing");
}

/// {"type": "function", "name", ...} to {"type": "function", "function": {"name", ...}}
Json chat_tool(const Json& tool) {
  const auto type = field(tool, "type", std::string());
  if (type != "function")
    throw ApiError(400, fmt::format("request: a tool is of type {}, only function can be called", shown(type)));
  Json function = tool;
  function.erase("type");
  return {{"type", "function"}, {"function", std::move(function)}};
}

/// {"type": "json_schema", "name", "schema", ...} to {"type": "json_schema", "json_schema": {"name", "schema", ...}}
Json response_format(Json format) {
  if (!format.is_object()) throw ApiError(400, "request: 'text.format' is no object");
  if (field(format, "type", std::string()) != "json_schema") return format;
  format.erase("type");
  return {{"type", "json_schema"}, {"json_schema", std::move(format)}};
}

void add_tools(const Json& body, Json& chat) {
  if (has(body, "tools")) {
    if (!body["tools"].is_array()) throw ApiError(400, "request: 'tools' is no list");
    chat["tools"] = Json::array();
    for (const Json& tool : body["tools"]) chat["tools"].push_back(chat_tool(tool));
  }
  if (!has(body, "tool_choice")) return;
  const Json& choice = body["tool_choice"];
  const bool names_one = choice.is_object() && field(choice, "type", std::string()) == "function";
  chat["tool_choice"] = names_one ? chat_tool(choice) : choice;
}

Json responses_chat(const Json& body) {
  refuse_what_is_stored(body);
  ItemMessages messages;
  if (has(body, "instructions")) messages.add_message("system", field(body, "instructions", std::string()));
  const Json& input = has(body, "input") ? body["input"] : Json();
  if (input.is_string()) {
    messages.add_message("user", input.get<std::string>());
  } else if (input.is_array()) {
    for (const Json& item : input) messages.add(item);
  } else {
    throw ApiError(400, "request: 'input' is neither a text nor a list of items");
  }
  Json chat{{"messages", messages.take()}};
  for (const auto& key : sampling_keys())
    if (body.contains(key)) chat[key] = body[key];
  for (const char* key : {"stream", "chat_template_kwargs"})
    if (body.contains(key)) chat[key] = body[key];
  add_tools(body, chat);
  if (has(body, "text") && has(body["text"], "format"))
    chat["response_format"] = response_format(body["text"]["format"]);
  if (has(body, "reasoning") && has(body["reasoning"], "effort"))
    chat["reasoning_effort"] = body["reasoning"]["effort"];
  const auto include = field(body, "include", std::vector<std::string>());
  const bool asks = std::find(include.begin(), include.end(), "message.output_text.logprobs") != include.end();
  if (asks || has(body, "top_logprobs")) {
    chat["logprobs"] = true;
    chat["top_logprobs"] = field<int64_t>(body, "top_logprobs", 0);
  }
  return chat;
}

}  // namespace

TextRequest read_responses_request(const ServedModel& model, const Json& body) {
  TextRequest request = read_chat_request(model, responses_chat(body));
  request.api = TextRequest::responses;
  const auto said = [&](const char* key, Json fallback) {
    request.asked[key] = has(body, key) ? body[key] : std::move(fallback);
  };
  said("instructions", nullptr);
  said("max_output_tokens", nullptr);
  said("metadata", Json::object());
  said("parallel_tool_calls", true);
  said("reasoning", {{"effort", nullptr}, {"summary", nullptr}});
  said("text", {{"format", {{"type", "text"}}}});
  said("tool_choice", "auto");
  said("tools", Json::array());
  said("top_logprobs", 0);
  request.asked["truncation"] = "disabled";
  request.asked["store"] = false;
  request.asked["background"] = false;
  request.asked["previous_response_id"] = nullptr;
  request.asked["temperature"] = request.choices[0].options.sampler.temperature;
  request.asked["top_p"] = request.choices[0].options.sampler.top_p;
  return request;
}

}  // namespace jet
