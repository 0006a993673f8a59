#include <gtest/gtest.h>

#include "jet/engine/test_models.h"
#include "jet/serve/answer.h"

namespace jet {
namespace {

/// A model that is never asked: what it says is made up.
class Answers : public testing::Test {
 protected:
  TextRequest request(TextRequest::Api api, bool stream) const {
    TextRequest r{.api = api, .stream = stream, .thinking = true, .tools = Json::array()};
    r.choices.push_back({.prompt = {1, 2, 3}});
    return r;
  }
  /// The events of an answer, or the whole of it.
  std::string said(const TextRequest& request, const std::vector<std::string>& tokens, Outcome outcome) {
    const auto answer = make_answer(model_, request);
    std::string sent = answer->first_events();
    for (const auto& text : tokens) sent += answer->event({.token = {Draw{5}, text}});
    sent += answer->event({.is_end = true, .outcome = std::move(outcome)});
    EXPECT_TRUE(answer->over());
    return request.stream ? sent + answer->last_events() : json_text(answer->whole());
  }
  static std::vector<Json> events_of(const std::string& sent) {
    std::vector<Json> events;
    for (size_t at = 0; (at = sent.find("data: ", at)) != std::string::npos; ++at)
      events.push_back(parse_json(sent.substr(at + 6, sent.find('\n', at) - at - 6), "event"));
    return events;
  }

  std::shared_ptr<Engine> engine_ = Engine::random(test_models().back().spec, 1, DType::f32, {.threads = 1});
  Tokenizer tokenizer_ = Tokenizer::load("models/base");
  ServedModel model_{.name = "m", .version = "", .engine = *engine_, .tokenizer = tokenizer_};
  const std::vector<std::string> tokens_{"Let me", " see.</think>", "\n\nOne", " call: ",
                                         "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>"};
};

std::vector<std::string> kinds(const std::vector<Json>& events) {
  std::vector<std::string> list;
  for (const Json& e : events) list.push_back(e["type"].get<std::string>());
  return list;
}

TEST_F(Answers, OfResponsesTellOfThoughtsTextAndCalls) {
  const Outcome outcome{.finish = Finish::eos, .made_tokens = 6};
  const auto events = events_of(said(request(TextRequest::responses, true), tokens_, outcome));
  const std::string r = "response.";
  EXPECT_EQ(kinds(events), (std::vector{r + "created",
                                        r + "in_progress",  //
                                        r + "output_item.added",
                                        r + "content_part.added",  // thought
                                        r + "reasoning_text.delta",
                                        r + "reasoning_text.delta",
                                        r + "reasoning_text.done",  //
                                        r + "content_part.done",
                                        r + "output_item.done",  //
                                        r + "output_item.added",
                                        r + "content_part.added",  // text
                                        r + "output_text.delta",
                                        r + "output_text.delta",
                                        r + "output_text.done",  //
                                        r + "content_part.done",
                                        r + "output_item.done",  //
                                        r + "output_item.added",
                                        r + "function_call_arguments.delta",  // call
                                        r + "function_call_arguments.done",
                                        r + "output_item.done",
                                        r + "completed"}));
  const Json& streamed = events.back()["response"];
  EXPECT_EQ(streamed["usage"]["output_tokens_details"]["reasoning_tokens"], 2);
  Json whole = parse_json(said(request(TextRequest::responses, false), tokens_, outcome), "whole");
  for (const Json* j : {&streamed, &std::as_const(whole)}) {
    const Json& output = (*j)["output"];
    ASSERT_EQ(output.size(), 3u);
    EXPECT_EQ(output[0]["content"], Json::parse(R"([{"type": "reasoning_text", "text": "Let me see."}])"));
    EXPECT_EQ(output[1]["content"][0]["text"], "One call:");
    EXPECT_EQ(output[2]["name"], "f");
    EXPECT_EQ(output[2]["arguments"], R"({"a":1})");
    for (const Json& item : output) EXPECT_EQ(item["status"], "completed");
  }
  // An item is what was told of it when it ended.
  size_t ended = 0;
  for (const Json& e : events) {
    if (e["type"] == "response.output_item.done") { EXPECT_EQ(e["item"], streamed["output"][ended++]); }
  }
  EXPECT_EQ(ended, 3u);
}

TEST_F(Answers, ThatFailSaySoInTheirForm) {
  const Outcome outcome{.error = "out of luck"};
  const auto last = [&](TextRequest::Api api) { return events_of(said(request(api, true), {"Let"}, outcome)).back(); };
  const Json responses = last(TextRequest::responses), messages = last(TextRequest::messages);
  EXPECT_EQ(responses["type"], "response.failed");
  EXPECT_EQ(responses["response"]["error"]["message"], "out of luck");
  EXPECT_EQ(responses["response"]["output"][0]["status"], "incomplete");
  EXPECT_EQ(messages, Json::parse(R"({"type": "error", "error": {"type": "api_error", "message": "out of luck"}})"));
}

}  // namespace
}  // namespace jet
