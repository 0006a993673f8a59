#include "jet/text/jinja/jinja.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "jet/base/file.h"

namespace jet::jinja {
namespace {

/// 2026-02-03 14:05:06, a Tuesday: the golden clock.
std::tm golden_clock() {
  std::tm t{};
  t.tm_year = 126, t.tm_mon = 1, t.tm_mday = 3, t.tm_hour = 14, t.tm_min = 5, t.tm_sec = 6, t.tm_wday = 2,
  t.tm_yday = 33;
  return t;
}

Environment golden_environment() { return {.clock = golden_clock}; }

std::vector<Json> lines_of(const std::string& path) {
  std::vector<Json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line, path));
  return lines;
}

TEST(Jinja, Snippets) {
  const std::string path = "../shared/golden/chat/snippets.jsonl";
  if (!file_exists(path)) GTEST_SKIP() << "skipped: " << path << " is absent";
  const auto lines = lines_of(path);
  ASSERT_EQ(lines.size(), 270u);
  Variables context;
  for (const auto& [key, value] : lines[0]["context"].items()) context[key] = value_from(value, kForeign);
  int compared = 0;
  for (size_t i = 1; i < lines.size(); ++i) {
    const Json& s = lines[i];
    const auto id = s["id"].get<std::string>();
    if (id.starts_with("quirk")) continue;
    ++compared;
    try {
      const auto made = Template(s["template"].get<std::string>(), "snippet").render(context, golden_environment());
      EXPECT_EQ(made.text, s.value("expected", "an error")) << id << " " << s["template"];
    } catch (const TemplateError& e) {
      EXPECT_TRUE(s.contains("error")) << id << " " << s["template"] << " " << e.what();
      EXPECT_EQ(e.raised(), s.contains("error") && s["error"].value("raised", false)) << id;
      if (e.raised()) { EXPECT_EQ(e.message(), s["error"].value("message", "")) << id; }
    }
  }
  EXPECT_EQ(compared, 265);
}

}  // namespace
}  // namespace jet::jinja
