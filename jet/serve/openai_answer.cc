// OpenAI's form.
//
//   data: {"id", "object": "chat.completion.chunk", "created", "model",
//          "choices": [{"index", "delta": {"content"} or {"reasoning_content"} or {"tool_calls"}, "logprobs",
//                       "finish_reason": null}]}
//   ...
//   data: {... "delta": {}, "finish_reason": "stop"}
//   data: {"choices": [], "usage": {...}, "timings": {...}}          where include_usage asks for it
//   data: [DONE]
//
// "timings" is llama.cpp's: tokens read and made, with their milliseconds.
#include <span>
#include <utility>

#include "jet/serve/answer.h"

namespace jet {
namespace {

class OpenaiAnswer : public Answer {
 public:
  OpenaiAnswer(const ServedModel& model, const TextRequest& request)
      : Answer(model, request), chat_(request.api == TextRequest::chat), id_(random_id(chat_ ? "chatcmpl-" : "cmpl-")),
        offsets_(request.choices.size()) {}
  std::string last_events() override;

 private:
  std::string send_part(int index, const ReplyPart& part, const NewToken* token) override;
  std::string send_end(int index) override;
  Json whole_json() const override;

  Json head(const char* object) const {
    return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_.name}};
  }
  Json chunk(int index, Json delta, const Json& logprobs, const Json& finish) const;
  Json logprobs_json(std::span<const NewToken> tokens, int64_t& offset) const;
  Json usage_json() const;
  Json timings() const;
  Json choice_json(int index) const;
  const char* finish_reason(const Choice& c) const {
    if (c.outcome.finish == Finish::length || c.outcome.finish == Finish::context) return "length";
    return c.calls.empty() ? "stop" : "tool_calls";
  }

  bool chat_;
  std::string id_;
  std::vector<int64_t> offsets_;  // bytes of the texts so far, for /v1/completions' log-probabilities
};

Json calls_json(std::span<const ToolCall> calls, size_t first) {
  Json list = Json::array();
  for (const ToolCall& call : calls) {
    list.push_back({{"index", first + list.size()},
                    {"id", random_id("call_")},
                    {"type", "function"},
                    {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return list;
}

/// A list an entry a token in chats; in completions a list a kind.
Json OpenaiAnswer::logprobs_json(std::span<const NewToken> tokens, int64_t& offset) const {
  Json content = logprobs_of(tokens);
  if (chat_) return {{"content", content}};
  Json lists{{"tokens", Json::array()},
             {"token_logprobs", Json::array()},
             {"top_logprobs", Json::array()},
             {"text_offset", Json::array()}};
  for (const Json& e : content) {
    Json by_name = Json::object();
    for (const Json& t : e["top_logprobs"]) by_name[t["token"].get_ref<const std::string&>()] = t["logprob"];
    lists["tokens"].push_back(e["token"]);
    lists["token_logprobs"].push_back(e["logprob"]);
    lists["top_logprobs"].push_back(std::move(by_name));
    lists["text_offset"].push_back(offset);
    offset += std::ssize(e["bytes"]);
  }
  return lists;
}

Json OpenaiAnswer::chunk(int index, Json delta, const Json& logprobs, const Json& finish) const {
  Json j = head(chat_ ? "chat.completion.chunk" : "text_completion");
  Json choice{{"index", index}};
  if (chat_) {
    choice["delta"] = std::move(delta);
  } else {
    choice["text"] = delta.value("content", "");
  }
  choice["logprobs"] = logprobs;
  choice["finish_reason"] = finish;
  j["choices"] = Json::array({choice});
  if (request_.include_usage) j["usage"] = nullptr;
  return j;
}

std::string OpenaiAnswer::send_part(int index, const ReplyPart& part, const NewToken* token) {
  Choice& c = choices_[index];
  const bool first = !std::exchange(c.begun, true);
  Json delta = Json::object(), logprobs;
  if (first && chat_) delta["role"] = "assistant";
  if (!part.thinking.empty()) delta["reasoning_content"] = part.thinking;
  if (!part.text.empty() || (first && part.thinking.empty())) delta["content"] = part.text;
  if (!part.calls.empty()) delta["tool_calls"] = calls_json(part.calls, c.calls.size() - part.calls.size());
  if (token && request_.logprobs >= 0) logprobs = logprobs_json({token, 1}, offsets_[index]);
  if (delta.empty() && logprobs.is_null()) return "";
  return sent_event(chunk(index, std::move(delta), logprobs, nullptr));
}

std::string OpenaiAnswer::send_end(int index) {
  return sent_event(chunk(index, Json::object(), nullptr, finish_reason(choices_[index])));
}

Json OpenaiAnswer::usage_json() const {
  const Usage u = usage();
  return {{"prompt_tokens", u.prompt},
          {"completion_tokens", u.made},
          {"total_tokens", u.prompt + u.made},
          {"prompt_tokens_details", {{"cached_tokens", u.cached}}},
          {"completion_tokens_details", {{"reasoning_tokens", u.thinking}}}};
}

/// Of the first text.
Json OpenaiAnswer::timings() const {
  const Outcome& o = choices_.front().outcome;
  const int64_t read = o.prompt_tokens - o.cached_tokens;
  const auto rate = [](int64_t n, double seconds) {
    return n > 0 && seconds > 0 ? static_cast<double>(n) / seconds : 0;
  };
  return {{"queue_ms", 1e3 * o.queue_seconds},
          {"cache_n", o.cached_tokens},
          {"prompt_n", read},
          {"prompt_ms", 1e3 * o.read_seconds},
          {"prompt_per_second", rate(read, o.read_seconds)},
          {"predicted_n", o.made_tokens},
          {"predicted_ms", 1e3 * o.decode_seconds},
          {"predicted_per_second", rate(o.made_tokens - 1, o.decode_seconds)}};
}

std::string OpenaiAnswer::last_events() {
  std::string sent;
  if (request_.include_usage) {
    Json j = head(chat_ ? "chat.completion.chunk" : "text_completion");
    j["choices"] = Json::array();
    j["usage"] = usage_json();
    j["timings"] = timings();
    sent = sent_event(j);
  }
  return sent + "data: [DONE]\n\n";
}

Json OpenaiAnswer::choice_json(int index) const {
  const Choice& c = choices_[index];
  Json j{{"index", index}};
  if (chat_) {
    Json& message = j["message"] = {{"role", "assistant"}, {"content", c.text}};
    if (!c.thinking.empty()) message["reasoning_content"] = c.thinking;
    if (!c.calls.empty()) {
      message["tool_calls"] = calls_json(c.calls, 0);
      if (c.text.empty()) message["content"] = nullptr;
    }
  } else {
    j["text"] = c.text;
  }
  int64_t offset = 0;
  j["logprobs"] = request_.logprobs >= 0 ? logprobs_json(c.tokens, offset) : Json();
  j["finish_reason"] = finish_reason(c);
  return j;
}

Json OpenaiAnswer::whole_json() const {
  Json j = head(chat_ ? "chat.completion" : "text_completion");
  j["choices"] = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) j["choices"].push_back(choice_json(static_cast<int>(i)));
  j["usage"] = usage_json();
  j["timings"] = timings();
  return j;
}

}  // namespace

std::unique_ptr<Answer> make_openai_answer(const ServedModel& model, const TextRequest& request) {
  return std::make_unique<OpenaiAnswer>(model, request);
}

}  // namespace jet
