// A request's answer in the form of OpenAI's API, whole or as server-sent events.
//
//   data: {"id", "object": "chat.completion.chunk", "created", "model",
//          "choices": [{"index", "delta": {"content"} or {"reasoning_content"}, "logprobs", "finish_reason": null}]}
//   ...
//   data: {... "delta": {}, "finish_reason": "stop"}
//   data: {"choices": [], "usage": {...}, "timings": {...}}          where include_usage asks for it
//   data: [DONE]
//
// "timings" is llama.cpp's: tokens read and made, with their milliseconds.
#pragma once

#include <string>
#include <vector>

#include "jet/engine/chat.h"
#include "jet/serve/channel.h"
#include "jet/serve/text_request.h"

namespace jet {

class Answer {
 public:
  /// `request` must outlive it.
  Answer(const ServedModel& model, const TextRequest& request);

  /// Takes an event, and gives what a stream is to send for it; empty where nothing.
  std::string event(const ChannelEvent& e);
  /// Whether all texts have ended.
  bool over() const { return open_ == 0; }
  /// What ends a stream.
  std::string last_events() const;
  /// The whole, of a request that does not stream. Throws ApiError where a text failed.
  Json whole() const;

 private:
  struct Choice {
    ThinkingStream stream;
    std::string reasoning{}, content{};
    Json logprobs = Json::array();
    int64_t offset = 0;  // bytes of the text so far, of /v1/completions' logprobs
    Outcome outcome{};
    bool begun = false;
  };
  Json head(const char* object) const;
  Json chunk(int index, Json delta, const Json& logprobs, const Json& finish) const;
  std::string add_text(int index, const ThinkingStream::Part& part, const Json& logprobs);
  ThinkingStream::Part part_of(Choice& c, const std::string& text) const;
  Json logprob_of(Choice& c, const NewToken& token) const;
  Json completion_logprobs(const Json& tokens) const;
  Json usage() const;
  Json timings() const;
  Json choice_json(int index) const;
  std::string end_choice(int index, const Outcome& outcome);

  const ServedModel& model_;
  const TextRequest& request_;
  std::string id_;
  int64_t created_;
  std::vector<Choice> choices_;
  size_t open_;
};

/// "data: ...\n\n"
std::string sent_event(const Json& json);

}  // namespace jet
