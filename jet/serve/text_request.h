// What a client asks for, read from the JSON of OpenAI's API. What changes the text and cannot be done is refused
// (400); fields that are not known are passed over, as clients send many that mean nothing here.
//
//   POST /v1/chat/completions   {"messages": [...], "tools"}     through the model's chat template
//   POST /v1/completions        {"prompt": text, ids, or a list of either}
//
//   both: max_tokens | max_completion_tokens, n, stream, stream_options.include_usage, stop, seed, temperature, top_p,
//         top_k, min_p, typical_p, repetition_penalty | repeat_penalty, presence_penalty, frequency_penalty,
//         logit_bias, ignore_eos, logprobs, top_logprobs, chat_template_kwargs, and what reply_form.h lists
#pragma once

#include <string>
#include <vector>

#include "jet/engine/chat.h"
#include "jet/engine/scheduler.h"
#include "jet/serve/served_model.h"

namespace jet {

struct TextRequest {
  enum Api { chat, completions, messages } api = chat;
  bool stream = false, include_usage = false, echo = false;
  bool thinking = false;               // the prompt has opened the reply's thinking
  bool tools = false;                  // there are tools to call
  int logprobs = -1;                   // with each token its own and so many others' (-1: none)
  std::vector<Request> choices{};      // prompt by prompt, n of each
  std::vector<std::string> prompts{};  // to echo
};

/// Throws ApiError.
TextRequest read_chat_request(const ServedModel& model, const Json& body);
TextRequest read_completion_request(const ServedModel& model, const Json& body);
/// Of Anthropic's API (messages_api.cc).
TextRequest read_messages_request(const ServedModel& model, const Json& body);
int64_t count_messages_tokens(const ServedModel& model, const Json& body);

/// The text of a chat request as the template writes it, and its tokens; marks: where messages of users and the reply
/// begin, which the prefix cache keeps.
struct ServedPrompt : ChatPrompt {
  std::vector<int64_t> marks{};
};
ServedPrompt chat_prompt_of(const ServedModel& model, const Json& body);

/// A message's content: a text, or parts of type text, put together. Throws ApiError.
std::string text_of_content(const Json& content);

}  // namespace jet
