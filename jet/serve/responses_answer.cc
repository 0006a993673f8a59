// What /v1/responses answers.
//
//   event: response.created             {"response": {"status": "in_progress", "output": [], ...}}
//   event: response.in_progress
//     response.output_item.added        of what the model thinks, of a message, of a call
//       response.content_part.added     not of calls
//       response.output_text.delta ...  or response.reasoning_text.delta, response.function_call_arguments.delta
//       response.output_text.done       likewise
//       response.content_part.done      not of calls
//     response.output_item.done
//   event: response.completed           or response.incomplete (the tokens were used up), response.failed
//
// Each has a "sequence_number"; those of items name them by "output_index" and "item_id".
#include <utility>

#include "jet/serve/answer.h"

namespace jet {
namespace {

/// The items of an output as they grow, and the events that tell of them.
class ResponseOutput {
 public:
  std::string event(const std::string& type, Json json) {
    json["type"] = type;
    json["sequence_number"] = number_++;
    return sent_event(json, type.c_str());
  }
  /// `logprobs`: a list of the text's.
  std::string add(const ReplyPart& part, const Json& logprobs) {
    std::string sent;
    if (!part.thinking.empty()) sent += add_text(kThinking, part.thinking, Json::array());
    if (!part.text.empty()) sent += add_text(kText, part.text, logprobs);
    for (const ToolCall& call : part.calls) sent += add_call(call);
    return sent;
  }
  std::string end_item(const char* status = "completed") {
    if (open_.is_null()) return "";
    Json part = open_["content"][0];
    Json ends = place();
    ends["text"] = part["text"];
    if (part.contains("logprobs")) ends["logprobs"] = part["logprobs"];
    std::string sent = event(fmt::format("response.{}.done", part["type"].get_ref<const std::string&>()), ends);
    ends = place();
    ends["part"] = std::move(part);
    sent += event("response.content_part.done", ends);
    return sent + end_item_with(status);
  }
  const Json& items() const { return items_; }

 private:
  struct Kind {
    const char *part, *prefix;
    Json item;
  };
  static inline const Kind kThinking{"reasoning_text", "rs_", {{"type", "reasoning"}, {"summary", Json::array()}}};
  static inline const Kind kText{"output_text", "msg_", {{"type", "message"}, {"role", "assistant"}}};

  Json place() const { return {{"item_id", open_["id"]}, {"output_index", items_.size()}, {"content_index", 0}}; }
  std::string begin_item(Json item) {
    item["status"] = "in_progress";
    open_ = std::move(item);
    return event("response.output_item.added", {{"output_index", items_.size()}, {"item", open_}});
  }
  std::string end_item_with(const char* status) {
    open_["status"] = status;
    std::string sent = event("response.output_item.done", {{"output_index", items_.size()}, {"item", open_}});
    items_.push_back(std::exchange(open_, Json()));
    return sent;
  }
  /// To the item of this kind, which begins where another is open.
  std::string add_text(const Kind& kind, const std::string& text, const Json& logprobs) {
    std::string sent;
    if (open_.is_null() || open_["type"] != kind.item["type"]) {
      sent = end_item();
      Json item{{"id", random_id(kind.prefix)}, {"content", Json::array()}};
      item.update(kind.item);
      sent += begin_item(std::move(item));
      Json part{{"type", kind.part}, {"text", ""}};
      if (&kind == &kText) part.update({{"annotations", Json::array()}, {"logprobs", Json::array()}});
      Json begins = place();
      begins["part"] = part;
      sent += event("response.content_part.added", begins);
      open_["content"].push_back(std::move(part));
    }
    Json& part = open_["content"][0];
    part["text"].get_ref<std::string&>() += text;
    Json delta = place();
    delta["delta"] = text;
    if (part.contains("logprobs")) {
      delta["logprobs"] = logprobs;
      part["logprobs"].insert(part["logprobs"].end(), logprobs.begin(), logprobs.end());
    }
    return sent + event(fmt::format("response.{}.delta", kind.part), delta);
  }
  std::string add_call(const ToolCall& call) {
    std::string sent = end_item();
    sent += begin_item({{"id", random_id("fc_")},
                        {"type", "function_call"},
                        {"call_id", random_id("call_")},
                        {"name", call.name},
                        {"arguments", ""}});
    Json part{{"item_id", open_["id"]}, {"output_index", items_.size()}};
    part["delta"] = call.arguments;
    sent += event("response.function_call_arguments.delta", part);
    part.erase("delta");
    part["name"] = call.name;
    part["arguments"] = call.arguments;
    sent += event("response.function_call_arguments.done", part);
    open_["arguments"] = call.arguments;
    return sent + end_item_with("completed");
  }

  int64_t number_ = 0;
  Json items_ = Json::array();  // those that have ended
  Json open_;                   // the one that has not, or null
};

class ResponsesAnswer : public Answer {
 public:
  ResponsesAnswer(const ServedModel& model, const TextRequest& request)
      : Answer(model, request), id_(random_id("resp_")) {}
  std::string first_events() override {
    const Json begins{{"response", response("in_progress", Json::array())}};
    const std::string created = output_.event("response.created", begins);
    return created + output_.event("response.in_progress", begins);
  }
  std::string last_events() override {
    const Choice& c = choices_.front();
    if (!c.outcome.error.empty()) return "";
    const char* status = status_of(c);
    return output_.event(fmt::format("response.{}", status), {{"response", response(status, output_.items())}});
  }

 private:
  static const char* status_of(const Choice& c) {
    return c.outcome.finish == Finish::length || c.outcome.finish == Finish::context ? "incomplete" : "completed";
  }
  std::string send_part(int, const ReplyPart& part, const NewToken* token) override {
    if (token && request_.logprobs >= 0) {
      for (Json& entry : logprobs_of({token, 1})) logprobs_.push_back(std::move(entry));
    }
    std::string sent = output_.add(part, logprobs_);
    if (!part.text.empty()) logprobs_ = Json::array();
    return sent;
  }
  std::string send_end(int index) override { return output_.end_item(status_of(choices_[index])); }
  std::string send_error(const std::string& message) override {
    std::string sent = output_.end_item("incomplete");
    Json failed = response("failed", output_.items());
    failed["error"] = {{"code", "server_error"}, {"message", message}};
    return sent + output_.event("response.failed", {{"response", std::move(failed)}});
  }
  Json whole_json() const override {
    const Choice& c = choices_.front();
    ResponseOutput output;
    output.add({c.thinking, c.text, c.calls}, logprobs_of(c.tokens));
    output.end_item(status_of(c));
    return response(status_of(c), output.items());
  }
  Json response(const std::string& status, const Json& items) const {
    const bool is_over = status != "in_progress";
    Json j{{"id", id_},        {"object", "response"},          {"created_at", created_}, {"status", status},
           {"error", nullptr}, {"incomplete_details", nullptr}, {"model", model_.name}};
    if (status == "incomplete") j["incomplete_details"] = {{"reason", "max_output_tokens"}};
    j.update(request_.asked);
    j["output"] = items;
    j["usage"] = is_over ? usage_json() : Json();
    return j;
  }
  Json usage_json() const {
    const Usage u = usage();
    return {{"input_tokens", u.prompt},
            {"input_tokens_details", {{"cached_tokens", u.cached}, {"cache_write_tokens", 0}}},
            {"output_tokens", u.made},
            {"output_tokens_details", {{"reasoning_tokens", u.thinking}}},
            {"total_tokens", u.prompt + u.made}};
  }

  std::string id_;
  ResponseOutput output_;
  Json logprobs_ = Json::array();  // of tokens whose text is still to come
};

}  // namespace

std::unique_ptr<Answer> make_responses_answer(const ServedModel& model, const TextRequest& request) {
  return std::make_unique<ResponsesAnswer>(model, request);
}

}  // namespace jet
