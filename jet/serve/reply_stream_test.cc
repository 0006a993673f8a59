// Replies parted the same however tokens cut them, and whatever a model writes in place of a call.
#include "jet/serve/reply_stream.h"

#include <gtest/gtest.h>

#include "jet/base/rng.h"

namespace jet {
namespace {

struct Case {
  std::string reply, thinking, text;
  std::vector<ToolCall> calls{};
  bool tools = true, inside = false;
};

std::vector<Case> cases() {
  const std::string call = R"(<tool_call>
{"name": "weather", "arguments": {"city": "Rome", "days": 2}}
</tool_call>)";
  const ToolCall weather{"weather", R"({"city":"Rome","days":2})"};
  const std::string tags =
      "<tool_call>\n<function=run>\n<parameter=code>\nprint(1 < 2)\n</parameter>\n<parameter=n>\n3\n</parameter>\n"
      "</function>\n</tool_call>";
  const ToolCall run{"run", R"x({"code":"print(1 < 2)","n":3})x"};
  return {
      {"Hello.", "", "Hello."},
      {call, "", "", {weather}},
      {"I look.\n" + call, "", "I look.", {weather}},
      {call + "\n" + call + "\n", "", "", {weather, weather}},
      {call + "\nDone. ", "", "\nDone. ", {weather}},
      {"<think>\nHm.\n</think>\n\n" + call, "Hm.\n", "", {weather}},
      {"Hm.\n</think>\n" + call, "Hm.\n", "", {weather}, true, true},
      {tags, "", "", {run}},
      {R"({"name": "weather", "parameters": {"city": "Rome", "days": 2}})", "", "", {weather}},
      {R"([{"name": "weather", "arguments": {"city": "Rome", "days": 2}}])", "", "", {weather}},
      {R"({"name": "weather", "arguments": "{\"city\": \"Rome\", \"days\": 2}"})", "", "", {weather}},
      // What is no call stays text.
      {call, "", call, {}, false},
      {R"({"answer": 3})", "", R"({"answer": 3})"},
      {R"({"name": 3})", "", R"({"name": 3})"},
      {"[1, 2]", "", "[1, 2]"},
      {"{ not JSON", "", "{ not JSON"},
      {"<tool_call>nothing</tool_call> there", "", "<tool_call>nothing</tool_call> there"},
      {"<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>", "",
       "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>"},
      {"a <tool", "", "a <tool"},
      {"a <tool_call>{\"name\"", "", "a <tool_call>{\"name\""},
      {"<tool_call><function=f><parameter=x>1</function></tool_call>", "",
       "<tool_call><function=f><parameter=x>1</function></tool_call>"},
      // Its end may be the token that ended the text.
      {R"(<tool_call>{"name": "weather", "arguments": {"city": "Rome", "days": 2}})", "", "", {weather}},
  };
}

/// The schemas of some parameters of `typed`.
Json tools() {
  return parse_json(R"([{"type": "function", "function": {"name": "other"}}, {"type": "function", "function": {
      "name": "typed", "parameters": {"type": "object", "properties": {"text": {"type": "string"},
      "count": {"type": "integer"}, "maybe": {"type": ["string", "null"]}, "both": {"type": ["number", "string"]},
      "free": {}}}}}])",
                    "tools");
}

ReplyPart read(const Case& c, const std::vector<size_t>& cuts) {
  ReplyStream stream(c.inside, c.tools ? tools() : Json());
  ReplyPart all;
  const auto add = [&](const ReplyPart& part) {
    all.thinking += part.thinking, all.text += part.text;
    all.calls.insert(all.calls.end(), part.calls.begin(), part.calls.end());
  };
  size_t at = 0;
  for (const size_t cut : cuts) {
    add(stream.add(std::string_view(c.reply).substr(at, cut - at)));
    at = cut;
  }
  add(stream.add(std::string_view(c.reply).substr(at)));
  add(stream.finish());
  return all;
}

void expect(const Case& c, const ReplyPart& made) {
  EXPECT_EQ(made.thinking, c.thinking) << c.reply;
  EXPECT_EQ(made.text, c.text) << c.reply;
  ASSERT_EQ(made.calls.size(), c.calls.size()) << c.reply;
  for (size_t i = 0; i < c.calls.size(); ++i) {
    EXPECT_EQ(made.calls[i].name, c.calls[i].name);
    EXPECT_EQ(made.calls[i].arguments, c.calls[i].arguments);
  }
}

TEST(ReplyStream, AnyCutsGiveTheSame) {
  Rng rng(1);
  for (const Case& c : cases()) {
    expect(c, read(c, {}));
    std::vector<size_t> all;
    for (size_t i = 1; i < c.reply.size(); ++i) all.push_back(i);
    expect(c, read(c, all));
    for (int turn = 0; turn < 20; ++turn) {
      std::vector<size_t> some;
      for (const size_t i : all)
        if (rng.below(4) == 0) some.push_back(i);
      expect(c, read(c, some));
    }
  }
}

TEST(ReplyStream, TextLeavesAtOnce) {
  ReplyStream stream(false, true);
  EXPECT_EQ(stream.add("I see").text, "I see");
  EXPECT_EQ(stream.add(" <to").text, "");
  EXPECT_EQ(stream.add("wn>").text, " <town>");
}

TEST(ToolCalls, ATextThatLooksLikeANumberIsWhatItsSchemaSays) {
  const auto value = [](const std::string& parameter, const std::string& text, const Json& tools) {
    const auto calls = tool_calls_of(
        fmt::format("<function=typed>\n<parameter={}>\n{}\n</parameter>\n</function>", parameter, text), tools);
    return calls.size() == 1 ? parse_json(calls[0].arguments, "arguments")[parameter] : Json("no call");
  };
  const Json known = tools(), hostile = parse_json(R"([1, {"function": [{"name": "typed"}]}])", "tools");
  for (const char* text : {"123", "null", "true", "[1]", "\"quoted\""}) EXPECT_EQ(value("text", text, known), text);
  EXPECT_EQ(value("count", "123", known), 123);
  EXPECT_EQ(value("count", "many", known), "many");
  EXPECT_EQ(value("maybe", "null", known), Json());
  EXPECT_EQ(value("maybe", "123", known), "123");
  EXPECT_EQ(value("both", "123", known), 123);
  for (const char* parameter : {"free", "none"}) EXPECT_EQ(value(parameter, "123", known), 123);
  for (const Json& none : {Json(), Json::array(), hostile}) EXPECT_EQ(value("text", "123", none), 123);
}

}  // namespace
}  // namespace jet
