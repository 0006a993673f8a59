// A request's answer, whole or as server-sent events, in the form of the API that was asked. Answer keeps what all have
// in common: the texts as they grow, and how they ended.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jet/serve/channel.h"
#include "jet/serve/reply_stream.h"
#include "jet/serve/text_request.h"

namespace jet {

class Answer {
 public:
  /// `request` must outlive it.
  Answer(const ServedModel& model, const TextRequest& request);
  virtual ~Answer() = default;

  /// Takes an event, and gives what a stream is to send for it; empty where nothing.
  std::string event(const ChannelEvent& e);
  /// Whether all texts have ended.
  bool over() const { return open_ == 0; }
  /// What begins and what ends a stream.
  virtual std::string first_events() { return ""; }
  virtual std::string last_events() = 0;
  /// The whole, of a request that does not stream. Throws ApiError where a text failed.
  Json whole() const;

 protected:
  struct Choice {
    ReplyStream stream;
    std::string echo{}, thinking{}, text{};  // echo: a prompt that is to come first
    std::vector<ToolCall> calls{};
    std::vector<NewToken> tokens{};  // where log-probabilities are asked for
    Outcome outcome{};
    int64_t thinking_tokens = 0;
    bool begun = false;  // something was sent
  };
  /// What a stream sends for a part, which the choice has already; `token`: the one that brought it, or null.
  virtual std::string send_part(int index, const ReplyPart& part, const NewToken* token) = 0;
  virtual std::string send_end(int index) = 0;
  /// Of a text that failed.
  virtual std::string send_error(const std::string& message);
  virtual Json whole_json() const = 0;

  struct Usage {
    int64_t prompt = 0, made = 0, cached = 0, thinking = 0;
  };
  Usage usage() const;
  /// [{"token", "logprob", "bytes", "top_logprobs": [{"token", "logprob", "bytes"}, ...]}, ...]
  Json logprobs_of(std::span<const NewToken> tokens) const;

  const ServedModel& model_;
  const TextRequest& request_;
  int64_t created_;
  std::vector<Choice> choices_;

 private:
  std::string take(int index, ReplyPart part, const NewToken* token);
  size_t open_;
};

/// In the form that the request was in.
std::unique_ptr<Answer> make_answer(const ServedModel& model, const TextRequest& request);
std::unique_ptr<Answer> make_openai_answer(const ServedModel& model, const TextRequest& request);
std::unique_ptr<Answer> make_messages_answer(const ServedModel& model, const TextRequest& request);
std::unique_ptr<Answer> make_responses_answer(const ServedModel& model, const TextRequest& request);

/// "event: NAME\ndata: ...\n\n"; without a name the data alone.
std::string sent_event(const Json& json, const char* name = nullptr);
/// `prefix` and 16 random digits.
std::string random_id(const char* prefix);

}  // namespace jet
