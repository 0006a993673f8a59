#include "jet/engine/chat.h"

#include <gtest/gtest.h>

#include "jet/base/file.h"
#include "jet/engine/test_models.h"

namespace jet {
namespace {

/// The thinking and the answer of a text that comes cut at every place.
std::pair<std::string, std::string> parted(const std::string& text, bool inside, size_t cut) {
  ThinkingStream stream(inside);
  std::pair<std::string, std::string> all;
  const auto take = [&](const ThinkingStream::Part& part) { all.first += part.thinking, all.second += part.answer; };
  for (size_t at = 0; at < text.size(); at += cut) take(stream.add(std::string_view(text).substr(at, cut)));
  take(stream.finish());
  return all;
}

TEST(ThinkingStream, PartsAtItsTags) {
  using Pair = std::pair<std::string, std::string>;
  for (const size_t cut : {1, 2, 3, 7, 100}) {
    EXPECT_EQ(parted("<think>\nwell </thi</think>\n\nYes <think>", false, cut), Pair("well </thi", "Yes <think>"));
    EXPECT_EQ(parted("so\n</think>\n\nYes", true, cut), Pair("so\n", "Yes"));
    EXPECT_EQ(parted(" plain <thinking> ", false, cut), Pair("", " plain <thinking> "));
    EXPECT_EQ(parted("open, never closed </th", true, cut), Pair("open, never closed </th", ""));
    EXPECT_EQ(parted("<thi", false, cut), Pair("", "<thi"));
    EXPECT_EQ(parted("", false, cut), Pair("", ""));
  }
}

/// models/base with a template of plain text: its tokenizer reads any text, and what it says does not matter.
class Chats : public testing::Test {
 protected:
  Chats()
      : tokenizer_(Tokenizer::load("models/base")), engine_(Engine::load("models/base", {.threads = 1})),
        session_(*engine_, tokenizer_, ChatTemplate(kTemplate, "t"), int64_t{1} << 28) {}

  ChatReply say(const std::string& text, const ChatSession::OnPart& on_part = {}) {
    session_.add_user(text);
    return session_.reply(kOptions, on_part);
  }
  /// What a session that has read nothing before replies to the same messages.
  std::string afresh() const {
    ChatSession other(*engine_, tokenizer_, ChatTemplate(kTemplate, "t"), 0);
    other.set_messages(session_.messages());
    other.drop_reply();
    return other.reply(kOptions, {}).text;
  }

  static constexpr const char* kTemplate =
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% "
      "endif %}";
  const GenerateOptions kOptions{.max_new_tokens = 12, .ignore_eos = true};
  Tokenizer tokenizer_;
  std::shared_ptr<Engine> engine_;
  ChatSession session_;
};

TEST_F(Chats, ReadWhatChangedAlone) {
  session_.set_system("You are kind. " + std::string(400, 'x'));
  const ChatReply first = say("Once upon a time");
  EXPECT_EQ(first.read_tokens, first.prompt_tokens);
  EXPECT_EQ(first.ids.size(), 12u);
  EXPECT_EQ(first.text, afresh());
  const ChatReply second = say("And then?");
  EXPECT_LT(second.read_tokens, 40);
  EXPECT_EQ(second.text, afresh());
  EXPECT_TRUE(session_.drop_reply());
  const ChatReply again = session_.reply(kOptions, {});
  EXPECT_EQ(again.read_tokens, 1);
  EXPECT_EQ(again.text, second.text);
  EXPECT_EQ(session_.undo(), "And then?");
  const ChatReply other = say("Why?");
  EXPECT_LT(other.read_tokens, 40);
  EXPECT_EQ(other.text, afresh());
  EXPECT_EQ(session_.messages().size(), 5u);
}

TEST_F(Chats, AStoppedReplyIsKept) {
  int parts = 0;
  const ChatReply reply = say("Once upon a time", [&](const auto&) { return ++parts < 3; });
  EXPECT_EQ(reply.finish, Finish::stopped);
  EXPECT_EQ(reply.ids.size(), 3u);
  EXPECT_EQ(session_.messages().back()["content"], reply.answer);
  EXPECT_LT(say("Go on").read_tokens, 20);
}

TEST_F(Chats, WhatFailsChangesNothing) {
  session_.add_user(std::string(40000, 'y') + " end");
  EXPECT_THROW(session_.reply(kOptions, {}), Error);
  EXPECT_EQ(session_.messages().size(), 1u);
  EXPECT_TRUE(session_.undo());
  EXPECT_FALSE(session_.undo());
  EXPECT_FALSE(session_.drop_reply());
  EXPECT_THROW(session_.set_messages(Json("no list")), Error);
}

}  // namespace
}  // namespace jet
