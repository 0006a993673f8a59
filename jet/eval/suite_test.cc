#include "jet/eval/suite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/eval/suite_metrics.h"
#include "jet/eval/suite_rows.h"
#include "jet/eval/suite_value.h"

namespace jet {
namespace {

struct SuiteFolder {
  SuiteFolder() : path(testing::TempDir() + "suite_test") { std::filesystem::remove_all(path); }
  void write(const std::string& name, const std::string& text) const { write_file(path + "/" + name, text); }
  std::string path;
};

Suite named(const std::string& name) { return suites_named(name).at(0); }

TEST(SuiteValue, GivesValuesAndTexts) {
  const Json doc = {{"a", "x"}, {"list", {1, 2}}, {"part", "p"}};
  EXPECT_EQ(SuiteValue("a", "t").of(doc), "x");
  EXPECT_EQ(SuiteValue("{{[a, list[1]]}}", "t").of(doc), (Json{"x", 2}));
  EXPECT_EQ(SuiteValue("Q: {{a}}\n", "t").of(doc), "Q: x\n");  // ends as it was written
  EXPECT_EQ(SuiteValue(Json{"a", "{{a}}"}, "t").of(doc), (Json{"a", "x"}));
  EXPECT_EQ(SuiteValue(Json{{"p", "{{a}}"}}, "t").of(doc), "x");
  EXPECT_EQ(SuiteValue("{{re_sub('([0-9])', '<$1>', '1 2')}}", "t").of(doc), "<1> <2>");
  EXPECT_THROW(SuiteValue("{{re_sub('[0-9]', '$1', '1')}}", "t").of(doc), Error);
  EXPECT_EQ(SuiteValue("{{re_find('b(.)', 'abc')}}", "t").of(doc), "c");
  EXPECT_THROW(SuiteValue("{{", "t"), Error);
}

TEST(SuiteRows, ReadEveryFormat) {
  const SuiteFolder f;
  f.write("a.csv", "\"one, \"\"two\"\"\nthree\",A\r\nfour,B\n");
  SuiteFile csv;
  csv.columns = {"q", "a"};
  EXPECT_EQ(read_rows(f.path + "/a.csv", csv, ""),
            (std::vector<Json>{{{"q", "one, \"two\"\nthree"}, {"a", "A"}}, {{"q", "four"}, {"a", "B"}}}));
  f.write("s.json", R"({"data": [{"title": "T", "paragraphs": [{"context": "C", "qas": [{"id": 1}, {"id": 2}]}]}]})");
  SuiteFile nested;
  nested.rows = "data.paragraphs.qas", nested.where = "{{id == 2}}";
  EXPECT_EQ(read_rows(f.path + "/s.json", nested, "").at(0), (Json{{"title", "T"}, {"context", "C"}, {"id", 2}}));
  f.write("t.txt", " = A = \n x \n = = B = = \n = C = \n y\n");
  SuiteFile text = named("wikitext").files.at(0);
  const auto pages = read_rows(f.path + "/t.txt", text, "");
  ASSERT_EQ(pages.size(), 2U);
  EXPECT_EQ(pages[0].at("page"), " = A = \n x \n = = B = = ");
  EXPECT_THROW(read_rows(f.path + "/absent.jsonl", {}, ""), Error);
}

TEST(SuiteRows, PassOverHiddenFiles) {
  const SuiteFolder f;
  f.write("blimp/one.jsonl", "{}\n");
  f.write("blimp/._one.jsonl", "\0\x05\x16\x07");
  EXPECT_EQ(matching_files(f.path, "blimp/*.jsonl"),
            (std::map<std::string, std::string>{{"one", f.path + "/blimp/one.jsonl"}}));
}

TEST(SuiteMetrics, CountPassesOfSeveralTexts) {
  const SuiteFolder f;
  f.write("own.json", R"({"own": {"about": "a", "published": "p", "licence": "l", "output_type": "generate_until",)"
                      R"( "files": [{"path": "own.jsonl"}], "doc_to_text": "{{q}}", "doc_to_target": "", "repeats": 4,)"
                      R"( "generation_kwargs": {"temperature": 0.5}, "program": "{{text}}",)"
                      R"( "metric_list": [{"metric": "pass@1"}, {"metric": "pass@3"}]}})");
  f.write("own.jsonl", "{\"q\": \"1 +\"}\n");
  const auto suites = suites_named(f.path + "/own.json");
  const auto item = load_suite(suites.at(0), {f.path}).at(0).items.at(0);
  ASSERT_EQ(item.requests.size(), 4U);
  EXPECT_EQ(item.requests.at(3).repeat, 3);
  const auto passes = [&](int right, const char* metric) {
    Json answers = Json::array();
    for (int i = 0; i < 4; ++i) answers.push_back(i < right ? "right" : "wrong");
    return grade(suites.at(0), item, answers, [](const auto& p) { return p == "right"; }).marks.at(metric).value;
  };
  EXPECT_DOUBLE_EQ(passes(1, "pass@1,none"), 0.25);
  EXPECT_DOUBLE_EQ(passes(1, "pass@3,none"), 0.75);  // 1 - C(3, 3) / C(4, 3)
  EXPECT_DOUBLE_EQ(passes(2, "pass@3,none"), 1);
  EXPECT_DOUBLE_EQ(passes(0, "pass@3,none"), 0);
  for (const char* wrong : {"pass@5", "pass@", "pass@0", "pass@x", "exact_match"}) {
    std::string text = read_file(f.path + "/own.json");
    text.replace(text.find("pass@3"), 6, wrong);
    f.write("wrong.json", text);
    EXPECT_THROW(suites_named(f.path + "/wrong.json"), Error) << wrong;
  }
}

TEST(SuiteRows, ReadFoldersOfDocuments) {
  const SuiteFolder f;
  for (const char* name : {"10", "9", ".9"})
    f.write(fmt::format("MATH/test/algebra/{}.json", name),
            fmt::format(R"({{"problem": "{}", "solution": "\\boxed{{4}}"}})", name));
  f.write("MATH/test/README.json", "{}");
  const auto tasks = load_suite(named("math"), {f.path});
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_EQ(tasks[0].name, "math_algebra");
  ASSERT_EQ(tasks[0].items.size(), 2U);
  EXPECT_EQ(*tasks[0].items[0].requests.at(0).context, "Problem: 9\nAnswer:");
  const auto mark = [&](const char* text) {
    return grade(named("math"), tasks[0].items[0], Json::array({text}), {}).marks.at("exact_match,none").value;
  };
  EXPECT_EQ(mark(" $x = 4$."), 1);  // what stands between the first $ and the last
  EXPECT_EQ(mark(" 4"), 1);
  EXPECT_EQ(mark(" 5"), 0);
}

TEST(Suite, MakesTheHarnessesPrompts) {
  const SuiteFolder f;
  f.write("hellaswag/hellaswag_val.jsonl",
          R"({"activity_label": "Cake", "ctx_a": "A man [substeps] bakes.", "ctx_b": "the Oven", "label": 1,)"
          R"( "endings": ["is [title] hot", "b", "c", "d"]})");
  const auto item = load_suite(named("hellaswag"), {f.path}).at(0).items.at(0);
  EXPECT_EQ(*item.requests.at(0).context, "Cake: A man bakes. The oven");
  EXPECT_EQ(item.requests.at(0).continuation, " is. hot");
  EXPECT_EQ(item.target, 1);
  f.write("winogrande/dev.jsonl",
          R"({"sentence": "Ann saw Bea so _ waved .", "option1": "Ann", "option2": "Bea", "answer": "2"})");
  const auto wino = load_suite(named("winogrande"), {f.path}).at(0).items.at(0);
  EXPECT_EQ(*wino.requests.at(1).context, "Ann saw Bea so Bea");
  EXPECT_EQ(wino.requests.at(1).continuation, " waved .");
  EXPECT_EQ(wino.target, 1);
}

TEST(Suite, TakesTheFirstDocumentsForShotsButTheOneAsked) {
  const SuiteFolder f;
  f.write("boolq/dev.jsonl",
          "{\"passage\": \"P\", \"question\": \"q\", \"answer\": true}\n"
          "{\"passage\": \"R\", \"question\": \"s\", \"answer\": false}\n");
  const auto task = load_suite(named("boolq"), {f.path, 0, 1}).at(0);
  EXPECT_EQ(*task.items.at(0).requests.at(0).context, "R\nQuestion: s?\nAnswer: no\n\nP\nQuestion: q?\nAnswer:");
  EXPECT_EQ(*task.items.at(1).requests.at(0).context, "P\nQuestion: q?\nAnswer: yes\n\nR\nQuestion: s?\nAnswer:");
  EXPECT_THROW(load_suite(named("boolq"), {f.path, 0, 2}), Error);
}

TEST(Suite, EveryOneIsWholeAndNamesItsFiles) {
  for (const auto& s : built_in_suites()) {
    EXPECT_FALSE(s.about.empty() || s.published.empty() || s.licence.empty()) << s.name;
    try {
      load_suite(s, {"/nowhere"});
      ADD_FAILURE() << s.name;
    } catch (const Error& e) { EXPECT_NE(std::string(e.what()).find(s.published), std::string::npos) << e.what(); }
  }
  EXPECT_THROW(suites_named("piqq"), Error);
}

TEST(SuiteMetrics, AreTheHarnesses) {
  const Suite arc = named("arc_easy");
  SuiteItem item{Json::object(), {}, {"long answer", "b"}, 0};
  const auto g = grade(arc, item, Json{{-4.0, false}, {-3.0, true}}, {});
  EXPECT_EQ(g.marks.at("acc,none").value, 0);
  EXPECT_EQ(g.marks.at("acc_norm,none").value, 1);
  SuiteItem sum{Json::object(), {}, {}, "3 * 6 = 18\n#### 18"};
  const auto gsm = grade(named("gsm8k"), sum, Json{" so 3 * 6 = $18.\n#### 18"}, {});
  EXPECT_EQ(gsm.filtered.at("strict-match"), "18");
  EXPECT_EQ(gsm.marks.at("exact_match,strict-match").value, 1);
  EXPECT_EQ(gsm.marks.at("exact_match,flexible-extract").value, 1);
  const auto none = grade(named("gsm8k"), sum, Json{"no idea"}, {});
  EXPECT_EQ(none.filtered.at("strict-match"), "[invalid]");
  std::vector<SuiteGrade> grades(4);
  for (int i = 0; i < 4; ++i) grades[i].marks["acc,none"].value = i == 0;
  EXPECT_NEAR(figures_of(grades).at("acc,none").error, 0.25, 1e-12);  // sqrt(0.1875 * 4 / 3 / 4)
  const auto both = pooled({{0.5, 0.1}, {1, 0.2}}, {10, 30}, true);
  EXPECT_NEAR(both.value, 0.875, 1e-12);
  EXPECT_NEAR(both.error, std::sqrt((9 * 0.01 * 10 + 29 * 0.04 * 30) / 38 / 40), 1e-12);
}

TEST(Suite, AsksEveryRotationOfItsOptions) {
  const SuiteFolder f;
  f.write("mmlu/test/art_test.csv", "Which?,w,x,y,z,C\n");
  const Suite mmlu = named("mmlu");
  const auto task = load_suite(mmlu, {f.path, 0, 0, true}).at(0);
  const SuiteItem& item = task.items.at(0);
  ASSERT_EQ(item.requests.size(), 16U);
  EXPECT_EQ(item.target, 2);
  const std::string about = "The following are multiple choice questions (with answers) about art.\n\n";
  EXPECT_EQ(*item.requests[4].context, about + "Which?\nA. x\nB. y\nC. z\nD. w\nAnswer:");
  EXPECT_EQ(*item.requests[15].context, about + "Which?\nA. z\nB. w\nC. x\nD. y\nAnswer:");
  EXPECT_EQ(item.requests[15].continuation, " D");
  Json knows, always_b;  // one follows the option y, one the letter
  for (int r = 0; r < 4; ++r)
    for (int j = 0; j < 4; ++j) {
      knows.push_back({(j + r) % 4 == 2 ? -1.0 : -2.0, true});
      always_b.push_back({j == 1 ? -1.0 : -2.0, true});
    }
  EXPECT_EQ(grade(mmlu, item, knows, {}).marks.at("acc,none").value, 1);
  EXPECT_EQ(grade(mmlu, item, knows, {}).marks.at("acc_circular,none").value, 1);
  EXPECT_EQ(grade(mmlu, item, always_b, {}).marks.at("acc,none").value, 0.25);
  EXPECT_EQ(grade(mmlu, item, always_b, {}).marks.at("acc_circular,none").value, 0);
}

TEST(SuiteMetrics, ProgramsAreMadeOfAnswers) {
  std::string program;
  const RunProgram run = [&](const std::string& p) { return program = p, true; };
  SuiteItem item{{{"code", "def f(x): return x"}, {"input", "1"}, {"output", "(1, 2)"}}, {}, {}, ""};
  grade(named("cruxeval_output"), item, Json{"assert f(1) == 2 # so"}, run);
  EXPECT_EQ(program, "def f(x): return x\nassert f(1)==2");
  grade(named("cruxeval_input"), item, Json{"assert f(g((1)), 2) == (1, 2)"}, run);
  EXPECT_EQ(program, "def f(x): return x\nassert f(g((1)), 2)==(1, 2)");
}

}  // namespace
}  // namespace jet
