// What a client asks for, read from the JSON of OpenAI's API. What changes the text and cannot be done is refused
// (400); fields that are not known are passed over, as clients send many that mean nothing here.
//
//   POST /v1/chat/completions   {"messages": [...], "tools"}     through the model's chat template
//   POST /v1/completions        {"prompt": text, ids, or a list of either}
//
//   both: n, stream, stream_options.include_usage, logprobs, top_logprobs; jet/engine/sampling_json.h, reply_form.h
//   chats: reasoning_effort ("none": no thinking), documents, chat_template_kwargs
#pragma once

#include <string>
#include <vector>

#include "jet/engine/chat.h"
#include "jet/engine/scheduler.h"
#include "jet/serve/served_model.h"

namespace jet {

struct TextRequest {
  enum Api { chat, completions, messages, responses } api = chat;
  bool stream = false, include_usage = false, echo = false;
  bool thinking = false;               // the prompt has opened the reply's thinking
  Json tools{};                        // to call, as OpenAI lists them, or null
  int logprobs = -1;                   // with each token its own and so many others' (-1: none)
  std::vector<Request> choices{};      // prompt by prompt, n of each
  std::vector<std::string> prompts{};  // to echo
  Json asked = Json::object();         // what an answer of /v1/responses says again
};

/// Throws ApiError.
TextRequest read_chat_request(const ServedModel& model, const Json& body);
TextRequest read_completion_request(const ServedModel& model, const Json& body);
/// Of Anthropic's API (messages_api.cc).
TextRequest read_messages_request(const ServedModel& model, const Json& body);
int64_t count_messages_tokens(const ServedModel& model, const Json& body);
/// Of /v1/responses (responses_api.cc).
TextRequest read_responses_request(const ServedModel& model, const Json& body);

/// The text of a chat request as the template writes it, and its tokens; marks: where messages of users and the reply
/// begin, which the prefix cache keeps.
struct ServedPrompt : ChatPrompt {
  std::vector<int64_t> marks{};
  Json tools{};  // to call, or null
};
ServedPrompt chat_prompt_of(const ServedModel& model, const Json& body);

/// A list of the vocabulary's ids; `key`: whose value it is. Throws ApiError.
std::vector<int32_t> ids_from(const ServedModel& model, const Json& list, const char* key);
/// The texts body[key], of which there may be so many: text, ids, or a list of either. Throws ApiError.
std::vector<ServedPrompt> prompts_of(const ServedModel& model, const Json& body, const char* key, int64_t most);

/// A message's content: a text, or parts of type text, put together. Throws ApiError.
std::string text_of_content(const Json& content);

}  // namespace jet
