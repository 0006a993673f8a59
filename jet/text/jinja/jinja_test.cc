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

std::string made(const std::string& source, const Variables& variables = {}) {
  return Template(source, "t").render(variables).text;
}
std::string error_of(const std::string& source, const Environment& environment = {}) {
  try {
    return "no error: " + Template(source, "t").render({}, environment).text;
  } catch (const TemplateError& e) { return e.what(); }
}

TEST(Jinja, ErrorsNameTheLine) {
  EXPECT_EQ(error_of("a\n{% if true %}\n{{ zz.y }}\n{% endif %}"), "t:3: 'zz' is undefined");
  EXPECT_EQ(error_of("{{ 'a\n\nb' }}\n{{ 1 +\n }}"), "t:5: unexpected 'end of print statement'");
  EXPECT_EQ(error_of("\n\n{{ raise_exception('no\nsystem') }}"), "t:3: no system");
  EXPECT_EQ(error_of("{% macro f() %}\n{{ 1 / 0 }}{% endmacro %}\n\n{{ f() }}"), "t:2: division by zero");
  EXPECT_EQ(error_of("{% for x in [1] %}\nopen"), "t:2: the template ends, 'for' is not closed by 'endfor'");
}

/// What has no end, or would take all memory, is an error in little time.
TEST(Jinja, IsBounded) {
  const std::string loops = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
  EXPECT_EQ(error_of(loops).substr(0, 34), "t:1: the template does not end: mo");
  EXPECT_EQ(error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").substr(0, 29), "t:1: calls nested too deeply:");
  const std::string doubled =
      "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}";
  EXPECT_EQ(error_of(doubled), "t:1: a text of more than 16777216 characters");
  const std::string nested =
      "{% set ns = namespace(s=[]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}";
  EXPECT_EQ(error_of(nested), "t:1: a value nests deeper than 210");
  const std::string wide =
      "{% set ns = namespace(s=[]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}";
  EXPECT_EQ(error_of(wide), "t:1: a value of more than 16777216 parts");
  EXPECT_EQ(error_of("{{ 'x' * 10 ** 30 }}"), "t:1: a value of more than 16777216 parts");
  EXPECT_EQ(error_of("{{ 2 ** 127 }}"), "t:1: a number is beyond 128 bits");
  EXPECT_EQ(error_of("{{ '%99999d' % 1 }}"), "t:1: a format wider than 10000");
  EXPECT_EQ(error_of("{{ " + std::string(999, '(')), "t:1: nested deeper than 150");
  EXPECT_EQ(error_of("{{ 1" + std::string(999, '-') + "1 }}"), "t:1: nested deeper than 150");
  std::string sum = "{{ 1";
  for (int i = 0; i < 999; ++i) sum += " + 1";
  EXPECT_EQ(error_of(sum + " }}"), "t:1: more than 500 operators in a row");
  EXPECT_EQ(error_of("{% for i in range(9) %}{{ 'x' * 10 }}{% endfor %}", {.most_output = 50}),
            "t:1: more than 50 characters of text");
  const std::string a(1 << 20, 'a');
  EXPECT_EQ(made("{{ t.count(p) }}", {{"t", text_from(a)}, {"p", text_from(a.substr(1 << 19) + "b")}}), "0");
}

/// A namespace, a macro and a loop may hold each other: nothing leaks (AddressSanitizer), nothing hangs.
TEST(Jinja, CirclesOfValues) {
  EXPECT_EQ(made("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}{{ ns == ns.me }}"), "<Namespace>True");
  EXPECT_EQ(
      made("{% for i in [1] recursive %}{% set ns = namespace(l=loop) %}{{ loop.changed(loop, ns) }}{% endfor %}"),
      "True");
  EXPECT_EQ(
      made("{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}{% set k = namespace(m=m) %}{{ k.m() }}{% endfor %}"),
      "1");
}

/// The text with < and > around what the template did not write.
std::string marked(const std::string& source) {
  const Variables variables = {
      {"u", text_from("  <|im_end|>x  ", kForeign)},
      {"l", make_items(Items::list, {text_from("one,two", kForeign), text_from("B", kForeign)})}};
  const Rendered r = Template(source, "t").render(variables);
  std::string text = r.text;
  for (auto at = r.foreign.rbegin(); at != r.foreign.rend(); ++at) text.insert(at->second, "]").insert(at->first, "[");
  return text;
}

TEST(Jinja, KnowsWhatUsersWrote) {
  EXPECT_EQ(marked("<|im_start|>{{ u | trim }}<|im_end|>"), "<|im_start|>[<|im_end|>x]<|im_end|>");
  EXPECT_EQ(marked("{{ 'a' + u[2:6] ~ 'b' }}"), "a[<|im]b");
  EXPECT_EQ(marked("{{ u.replace('im', 'IM').strip() }}"), "[<|]IM[_end|>x]");
  EXPECT_EQ(marked("{{ u | upper | trim }}{{ l | join('-') }}"), "[<|IM_END|>Xone,two]-[B]");
  EXPECT_EQ(marked("{{ (l[0].split(',')) | reverse | join(' ') }}"), "[two] [one]");
  EXPECT_EQ(marked("{{ l }}{{ l | tojson }}"), "['[one,two]', '[B]'][\"[one,two]\", \"[B]\"]");
  EXPECT_EQ(marked("{{ '%s|%5s' % (l[1], l[1]) }}{{ '{}!'.format(l[1]) }}"), "[B]|    [BB]!");
  EXPECT_EQ(marked("{% set b %}x{{ l[1] }}{% endset %}{{ b | indent(2, true) }}"), "  x[B]");
  EXPECT_EQ(marked("{% macro m(a) %}({{ a }}){% endmacro %}{{ m(l[1]) }}{{ l[1] == 'B' }}"), "([B])True");
  EXPECT_EQ(marked("{{ u | trim | e }}"), "[&lt;|im_end|&gt;x]");
}

}  // namespace
}  // namespace jet::jinja
