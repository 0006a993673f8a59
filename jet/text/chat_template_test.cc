#include "jet/text/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "jet/base/file.h"

namespace jet {
namespace {

/// 2026-02-03 14:05:06, as in the golden set.
jinja::Environment golden_environment() {
  return {.clock = [] {
    std::tm t{};
    t.tm_year = 126, t.tm_mon = 1, t.tm_mday = 3, t.tm_hour = 14, t.tm_min = 5, t.tm_sec = 6, t.tm_wday = 2,
    t.tm_yday = 33;
    return t;
  }};
}

ChatInput input_of(const Json& c) {
  ChatInput input{.messages = c["messages"], .add_generation_prompt = c.value("add_generation_prompt", false)};
  if (c.contains("tools")) input.tools = c["tools"];
  if (c.contains("documents")) input.documents = c["documents"];
  if (c.contains("kwargs")) input.variables = c["kwargs"];
  return input;
}

TEST(ChatTemplate, RendersAsTransformersDoes) {
  const std::string folder = "../shared/golden/chat/";
  if (!file_exists(folder + "cases.jsonl")) GTEST_SKIP() << "skipped: " << folder << " is absent";
  std::ifstream in(folder + "cases.jsonl");
  int compared = 0, errors = 0;
  for (std::string line; std::getline(in, line); ++compared) {
    const Json c = parse_json(line, "cases.jsonl");
    const auto path = c["template"].get<std::string>();
    const std::string name = path + " " + c["case"].get<std::string>();
    const ChatTemplate t(read_file(folder + path), path, c.value("special_tokens", Json::object()));
    try {
      EXPECT_EQ(t.render(input_of(c), golden_environment()).text, c.value("expected", "an error")) << name;
    } catch (const jinja::TemplateError& e) {
      ++errors;
      EXPECT_TRUE(c.contains("error")) << name << ": " << e.what();
      EXPECT_EQ(e.raised(), c.contains("error") && c["error"].value("raised", false)) << name << e.what();
      if (e.raised()) { EXPECT_EQ(e.message(), c["error"].value("message", "")) << name; }
    }
  }
  EXPECT_EQ(compared, 714);
  EXPECT_EQ(errors, 109);
}

}  // namespace
}  // namespace jet
