// Messages of OpenAI's API as a chat template wants them, and where in the prompt the prefix cache should stop.
//
//   content: a text, or [{"type": "text", "text": ...}, ...], put together      role "developer" is "system"
//   tool_calls[i].function.arguments: JSON in a text, which templates want as a value
//
//   prompt  | system | user | reply | user | reply | user: the last | reply begins
//                                                  ^ mark           ^ mark
//
// The marks are where the last message of a user begins (who edits it, reads again from there) and where the reply
// begins, which a template may follow with what it leaves out of a reply that is over ("<think>"). They are found as
// the tokens that the prompt has in common with the one without the last message, and without an open reply.
#include <algorithm>

#include "jet/engine/chat.h"
#include "jet/serve/api_error.h"
#include "jet/serve/text_request.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

Json message_of(Json message) {
  if (!message.is_object() || !message.contains("role") || !message["role"].is_string())
    throw ApiError(400, "request: a message is {\"role\": ..., \"content\": ...}");
  if (message["role"] == "developer") message["role"] = "system";
  if (has(message, "content")) message["content"] = text_of_content(message["content"]);
  if (!message.contains("tool_calls") || !message["tool_calls"].is_array()) return message;
  for (Json& call : message["tool_calls"]) {
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
    Json& arguments = call["function"]["arguments"];
    if (!arguments.is_string()) continue;
    try {
      arguments = parse_json(arguments.get<std::string>(), "arguments");
    } catch (const Error&) {}  // stays the text that it is
  }
  return message;
}

/// Whether it is there and not empty. Throws where it is something else.
bool has_list(const Json& body, const char* key) {
  if (!has(body, key)) return false;
  if (!body[key].is_array()) throw ApiError(400, fmt::format("request: '{}' is no list", key));
  for (const Json& item : body[key])
    if (!item.is_object()) throw ApiError(400, fmt::format("request: '{}' is no list of objects", key));
  return !body[key].empty();
}

ChatInput input_of(const Json& body) {
  if (!body.contains("messages") || !body["messages"].is_array() || body["messages"].empty())
    throw ApiError(400, "request: 'messages' is no list of messages");
  ChatInput input;
  for (const Json& m : body["messages"]) input.messages.push_back(message_of(m));
  if (has_list(body, "tools") && body.value("tool_choice", Json()) != "none") input.tools = body["tools"];
  if (has_list(body, "documents")) input.documents = body["documents"];
  if (has(body, "reasoning_effort")) {
    const auto effort = field(body, "reasoning_effort", std::string());
    input.variables = {{"reasoning_effort", effort}, {"enable_thinking", effort != "none"}};
  }
  if (!has(body, "chat_template_kwargs")) return input;
  if (!body["chat_template_kwargs"].is_object()) throw ApiError(400, "request: 'chat_template_kwargs' is no object");
  input.variables.update(body["chat_template_kwargs"]);
  return input;
}

int64_t common(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

/// The tokens that `ids` has in common with what the template makes of `input`; none where it refuses that.
int64_t mark_of(const ServedModel& model, const ChatInput& input, const std::vector<int32_t>& ids) {
  if (input.messages.empty()) return 0;
  try {
    return common(ids, encode_chat(model.tokenizer, model.chat->render(input)));
  } catch (const Error&) { return 0; }  // conversations that do not end so
}

}  // namespace

std::string text_of_content(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) throw ApiError(400, "request: a content is neither a text nor a list of parts");
  std::string text;
  for (const Json& part : content) {
    const auto type = part.is_object() ? field(part, "type", std::string()) : "";
    const bool is_text = type == "text" || type.ends_with("_text");  // input_text, output_text of /v1/responses
    if (!is_text || !part.contains("text") || !part["text"].is_string())
      throw ApiError(400, fmt::format("request: a message's part is of type {}, only text can be read", shown(type)));
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

ServedPrompt chat_prompt_of(const ServedModel& model, const Json& body) {
  if (!model.chat) throw ApiError(400, "this model has no chat template; ask /v1/completions");
  ChatInput input = input_of(body);
  ServedPrompt prompt;
  prompt.tools = input.tools;
  try {
    static_cast<ChatPrompt&>(prompt) = chat_prompt(*model.chat, model.tokenizer, input);
  } catch (const Error& e) { throw ApiError(400, e.what()); }
  prompt.marks.push_back(mark_of(model, input, prompt.ids));
  const auto is_user = [](const Json& m) { return m["role"] == "user"; };
  const auto last = std::find_if(input.messages.rbegin(), input.messages.rend(), is_user);
  input.messages.erase(input.messages.begin() + (input.messages.rend() - last) - (last != input.messages.rend()),
                       input.messages.end());
  prompt.marks.push_back(mark_of(model, input, prompt.ids));
  std::erase_if(prompt.marks, [&](int64_t m) { return m <= 0 || m >= std::ssize(prompt.ids); });
  return prompt;
}

}  // namespace jet
