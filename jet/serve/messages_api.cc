// Anthropic's /v1/messages, by way of a chat request.
//
//   {"system": text or [{"type": "text", "text"}], "max_tokens", "stop_sequences", "tools": [{"name", "description",
//    "input_schema"}], "messages": [{"role": "user" | "assistant", "content": text or blocks}], "temperature", ...}
//
//   block                                     becomes
//   {"type": "text", "text"}                  content
//   {"type": "thinking", "thinking"}          reasoning_content
//   {"type": "tool_use", "id", "name", "input"}            tool_calls
//   {"type": "tool_result", "tool_use_id", "content"}      a message of role tool, before what the user says
//
// A line of billing that such clients put before their system text is left out: it differs from request to request, and
// nothing behind it could be taken from the cache.
//
// Streams: message_start, then of each block content_block_start, content_block_delta ..., content_block_stop, then
// message_delta and message_stop.
#include "jet/serve/answer.h"
#include "jet/serve/api_error.h"

namespace jet {
namespace {

constexpr std::string_view kBilling = "x-anthropic-billing-header";

std::string system_text(const Json& system) {
  const Json blocks = system.is_string() ? Json::array({{{"type", "text"}, {"text", system}}}) : system;
  std::string text;
  if (!blocks.is_array()) throw ApiError(400, "request: 'system' is neither a text nor a list of blocks");
  for (const Json& block : blocks) {
    std::string part = text_of_content(Json::array({block}));
    if (part.starts_with(kBilling)) part.erase(0, std::min(part.find('\n'), part.size() - 1) + 1);
    if (!part.empty()) text += (text.empty() ? "" : "\n") + part;
  }
  return text;
}

void add_blocks(const std::string& role, const Json& blocks, Json& messages) {
  Json message{{"role", role}, {"content", ""}}, text = Json::array(), calls = Json::array();
  for (const Json& block : blocks) {
    const auto type = block.is_object() ? field(block, "type", std::string()) : "";
    if (type == "tool_result") {
      messages.push_back({{"role", "tool"},
                          {"tool_call_id", field(block, "tool_use_id", std::string())},
                          {"content", has(block, "content") ? text_of_content(block["content"]) : ""}});
    } else if (type == "tool_use") {
      calls.push_back({{"id", field(block, "id", std::string())},
                       {"type", "function"},
                       {"function",
                        {{"name", field(block, "name", std::string())},
                         {"arguments", has(block, "input") ? block["input"] : Json::object()}}}});
    } else if (type == "thinking") {
      message["reasoning_content"] = field(block, "thinking", std::string());
    } else if (type != "redacted_thinking") {
      text.push_back(block);
    }
  }
  message["content"] = text_of_content(text);
  if (!calls.empty()) message["tool_calls"] = calls;
  if (!text.empty() || !calls.empty()) messages.push_back(message);
}

/// {"type": "auto" | "any" | "none" | "tool", "name", "disable_parallel_tool_use"}
void add_tool_choice(const Json& choice, Json& chat) {
  if (choice.is_null()) return;
  const Json type = choice.is_object() ? choice.value("type", Json()) : Json();
  if (type == "none" || type == "auto") {
    chat["tool_choice"] = type;
  } else if (type == "any") {
    chat["tool_choice"] = "required";
  } else if (type == "tool") {
    chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", choice.value("name", Json())}}}};
  } else {
    throw ApiError(400, R"(request: 'tool_choice' is {"type": "auto", "any", "tool" or "none"})");
  }
  if (choice.value("disable_parallel_tool_use", Json()) == true) chat["parallel_tool_calls"] = false;
}

Json chat_body(const Json& body) {
  if (!body.contains("messages") || !body["messages"].is_array())
    throw ApiError(400, "request: 'messages' is no list of messages");
  Json chat = Json::object(), messages = Json::array();
  if (body.contains("system") && !body["system"].is_null()) {
    const std::string text = system_text(body["system"]);
    if (!text.empty()) messages.push_back({{"role", "system"}, {"content", text}});
  }
  for (const Json& m : body["messages"]) {
    if (!m.is_object() || !m.contains("role") || !m["role"].is_string() || !m.contains("content"))
      throw ApiError(400, "request: a message is {\"role\": ..., \"content\": ...}");
    if (m["content"].is_array()) {
      add_blocks(m["role"].get<std::string>(), m["content"], messages);
    } else {
      messages.push_back({{"role", m["role"]}, {"content", m["content"]}});
    }
  }
  chat["messages"] = std::move(messages);
  for (const char* key : {"max_tokens", "temperature", "top_p", "top_k", "stream", "seed", "chat_template_kwargs"})
    if (body.contains(key)) chat[key] = body[key];
  if (body.contains("stop_sequences")) chat["stop"] = body["stop_sequences"];
  add_tool_choice(body.value("tool_choice", Json()), chat);
  if (!body.contains("tools") || !body["tools"].is_array()) return chat;
  chat["tools"] = Json::array();
  for (const Json& tool : body["tools"]) {
    if (!tool.is_object() || !tool.contains("input_schema")) throw ApiError(400, "request: a tool has no input_schema");
    chat["tools"].push_back({{"type", "function"},
                             {"function",
                              {{"name", field(tool, "name", std::string())},
                               {"description", field(tool, "description", std::string())},
                               {"parameters", tool["input_schema"]}}}});
  }
  return chat;
}

class MessagesAnswer : public Answer {
 public:
  MessagesAnswer(const ServedModel& model, const TextRequest& request)
      : Answer(model, request), id_(random_id("msg_")) {}

  std::string first_events() override { return event_of("message_start", {{"message", message_json()}}); }
  std::string last_events() override { return failed_ ? "" : event_of("message_stop", Json::object()); }

 private:
  static std::string event_of(const char* type, Json json) {
    json["type"] = type;
    return sent_event(json, type);
  }
  std::string send_error(const std::string& message) override {
    failed_ = true;
    return event_of("error", messages_error_json(500, message));
  }
  std::string send_part(int, const ReplyPart& part, const NewToken*) override {
    std::string sent;
    if (!part.thinking.empty()) sent += delta("thinking", {{"type", "thinking_delta"}, {"thinking", part.thinking}});
    if (!part.text.empty()) sent += delta("text", {{"type", "text_delta"}, {"text", part.text}});
    for (const ToolCall& call : part.calls) {
      sent += end_block();
      sent += begin_block("tool_use", {{"id", random_id("toolu_")}, {"name", call.name}, {"input", Json::object()}});
      sent += delta("tool_use", {{"type", "input_json_delta"}, {"partial_json", call.arguments}});
      sent += end_block();
    }
    return sent;
  }
  std::string send_end(int index) override {
    const std::string sent = end_block();
    return sent + event_of("message_delta",
                           {{"delta", {{"stop_reason", stop_reason(choices_[index])}, {"stop_sequence", nullptr}}},
                            {"usage", usage_json()}});
  }
  std::string begin_block(const char* type, Json block) {
    open_ = type;
    block["type"] = type;
    return event_of("content_block_start", {{"index", block_}, {"content_block", block}});
  }
  std::string end_block() {
    if (open_.empty()) return "";
    open_.clear();
    return event_of("content_block_stop", {{"index", block_++}});
  }
  /// A part of the block of this type, which begins where another is open.
  std::string delta(const std::string& type, Json json) {
    std::string sent;
    if (open_ != type) {
      sent = end_block();
      sent += begin_block(type.c_str(), {{type, ""}});
    }
    return sent + event_of("content_block_delta", {{"index", block_}, {"delta", std::move(json)}});
  }

  const char* stop_reason(const Choice& c) const {
    if (!c.calls.empty()) return "tool_use";
    switch (c.outcome.finish) {
      case Finish::length:
      case Finish::context: return "max_tokens";
      case Finish::stop_string: return "stop_sequence";
      default: return "end_turn";
    }
  }
  Json usage_json() const {
    const Usage u = usage();
    return {{"input_tokens", u.prompt - u.cached}, {"cache_read_input_tokens", u.cached}, {"output_tokens", u.made}};
  }
  Json message_json() const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"model", model_.name},
            {"content", Json::array()},
            {"stop_reason", nullptr},
            {"stop_sequence", nullptr},
            {"usage", usage_json()}};
  }
  Json whole_json() const override {
    const Choice& c = choices_.front();
    Json j = message_json();
    if (!c.thinking.empty())
      j["content"].push_back({{"type", "thinking"}, {"thinking", c.thinking}, {"signature", ""}});
    if (!c.text.empty() || c.calls.empty()) j["content"].push_back({{"type", "text"}, {"text", c.text}});
    for (const ToolCall& call : c.calls) {
      j["content"].push_back({{"type", "tool_use"},
                              {"id", random_id("toolu_")},
                              {"name", call.name},
                              {"input", parse_json(call.arguments, "arguments")}});
    }
    j["stop_reason"] = stop_reason(c);
    return j;
  }

  std::string id_, open_;  // open_: the type of the block that is being sent
  int block_ = 0;
  bool failed_ = false;
};

}  // namespace

TextRequest read_messages_request(const ServedModel& model, const Json& body) {
  TextRequest request = read_chat_request(model, chat_body(body));
  request.api = TextRequest::messages;
  return request;
}

int64_t count_messages_tokens(const ServedModel& model, const Json& body) {
  return std::ssize(chat_prompt_of(model, chat_body(body)).ids);
}

std::unique_ptr<Answer> make_messages_answer(const ServedModel& model, const TextRequest& request) {
  return std::make_unique<MessagesAnswer>(model, request);
}

}  // namespace jet
