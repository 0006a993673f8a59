#include "jet/grammar/grammar_compiler.h"

#include <gtest/gtest.h>

#include <fmt/core.h>

#include <chrono>
#include <fstream>

#include "jet/base/rng.h"
#include "jet/engine/sampler.h"
#include "jet/grammar/rehearsal.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

using Ids = std::vector<int32_t>;

class Grammars : public testing::Test {
 protected:
  void SetUp() override {
    if (!GrammarCompiler::is_built_in()) GTEST_SKIP() << "skipped: built without xgrammar";
  }
  static Json form_of(const char* schema) {
    return {{"type", "json_schema"}, {"json_schema", parse_json(schema, "schema")}, {"max_whitespace_cnt", 4}};
  }

  const Tokenizer tokenizer = Tokenizer::load("models/base");
  const int end = tokenizer.eos_id();
  const int64_t vocab = tokenizer.vocab_size();
  GrammarCompiler compiler{tokenizer, vocab, std::span(&end, 1)};

  /// What random logits make of a grammar; short tokens are likelier, so that strings end. Empty where it does not end.
  std::string random_text(const TokenGrammar& grammar, uint64_t seed) {
    Rng rng(seed, "grammar");
    Sampler sampler({.temperature = 1, .grammar = std::shared_ptr<const TokenGrammar>(&grammar, [](auto*) {})}, vocab);
    std::vector<float> logits(vocab);
    Ids ids;
    std::string text;
    for (int i = 0; i < 2000; ++i) {
      for (int64_t id = 0; id < vocab; ++id)
        logits[id] = static_cast<float>(rng.uniform()) + (tokenizer.bytes_of(id).size() == 1 ? 7.0f : 0.0f);
      const int32_t id = sampler.draw(logits, {ids, 0}).id;
      if (id == end) return repair_utf8(text);
      ids.push_back(id);
      text += tokenizer.bytes_of(id);
      if (sampler.is_whole({ids, 0})) return repair_utf8(text);
    }
    return "";
  }
};

/// Whether a value fits a schema of the keywords that are used below.
bool fits_schema(const Json& value, const Json& schema, const Json& root) {
  if (schema.contains("$ref")) {
    const auto path = schema["$ref"].get<std::string>().substr(1);
    return fits_schema(value, root[Json::json_pointer(path)], root);
  }
  if (schema.contains("enum"))
    return std::find(schema["enum"].begin(), schema["enum"].end(), value) != schema["enum"].end();
  if (schema.contains("anyOf")) {
    return std::any_of(schema["anyOf"].begin(), schema["anyOf"].end(),
                       [&](const Json& s) { return fits_schema(value, s, root); });
  }
  const auto type = schema["type"].get<std::string>();
  if (type == "integer" || type == "number") {
    if (type == "integer" ? !value.is_number_integer() : !value.is_number()) return false;
    return value.get<double>() >= schema.value("minimum", -1e300) &&
           value.get<double>() <= schema.value("maximum", 1e300);
  }
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "string")
    return value.is_string() && value.get<std::string>().size() >= schema.value("minLength", size_t{0});
  if (type == "array") {
    if (!value.is_array() || value.size() < schema.value("minItems", size_t{0}) ||
        value.size() > schema.value("maxItems", size_t{1000}))
      return false;
    return std::all_of(value.begin(), value.end(),
                       [&](const Json& v) { return fits_schema(v, schema["items"], root); });
  }
  if (!value.is_object()) return false;
  const Json required = schema.value("required", Json::array()), none = Json::object();
  for (const Json& key : required)
    if (!value.contains(key.get<std::string>())) return false;
  for (const auto& [key, v] : value.items())
    if (!schema.value("properties", none).contains(key) || !fits_schema(v, schema["properties"][key], root))
      return false;
  return true;
}

TEST_F(Grammars, KeepTextsToSchemas) {
  const char* schemas[] = {
      R"({"type": "object", "properties": {"name": {"type": "string", "minLength": 2}, "age": {"type": "integer",
          "minimum": 0, "maximum": 120}, "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1,
          "maxItems": 3}}, "required": ["name", "age", "tags"]})",
      R"({"type": "object", "properties": {"kind": {"enum": ["a", "b\n\u00e9", 3, null]}, "more": {"type": "object",
          "properties": {"x": {"type": "number"}, "y": {"type": "boolean"}}, "required": ["y"]}},
          "required": ["kind"]})",
      R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"n": {"type": "integer"},
          "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]}}, "required": ["n", "next"]}}})",
      R"j({"type": "object", "properties": {"p": {"type": "string", "pattern": "^[^a-z]{2,4}(.|x){3}$"}, "d": {"type":
          "string", "format": "date"}}, "required": ["p", "d"]})j",
      R"({"type": "array", "items": {"anyOf": [{"type": "boolean"}, {"type": "string"}]}, "maxItems": 4})",
  };
  int whole = 0;
  for (const char* text : schemas) {
    const Json schema = parse_json(text, "schema");
    const auto grammar = compiler.compile(form_of(text));
    EXPECT_EQ(compiler.compile(form_of(text)), grammar) << "from the cache";
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const std::string made = repair_utf8(random_text(*grammar, seed));  // bytes of surrogates are let through
      if (made.empty()) continue;                                         // a number of endless digits
      ++whole;
      const bool is_json = Json::accept(made);
      EXPECT_TRUE(is_json && fits_schema(parse_json(made, "made"), schema, schema)) << json_text(Json(made));
    }
  }
  EXPECT_GT(whole, 18);
}

TEST_F(Grammars, KeepTextsToExpressionsAndRules) {
  const auto date = compiler.compile({{"type", "regex"}, {"pattern", "[0-9]{4}-(0[1-9]|1[0-2])(é|ü)"}});
  const auto sum =
      compiler.compile({{"type", "grammar"}, {"grammar", "root ::= n (\"+\" n)*\nn ::= [1-9] [0-9]{0,2}\n"}});
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const std::string d = random_text(*date, seed), s = random_text(*sum, seed);
    EXPECT_EQ(d.size(), 9u) << d;
    EXPECT_EQ(d[4], '-') << d;
    ASSERT_FALSE(s.empty());
    EXPECT_EQ(s.find_first_not_of("0123456789+"), s.npos) << s;
    EXPECT_NE(s.back(), '+') << s;
  }
}

TEST_F(Grammars, EndWhereTheyAreWhole) {
  const auto grammar = compiler.compile({{"type", "regex"}, {"pattern", "ab?"}});
  const auto matcher = grammar->start();
  const int32_t a = tokenizer.id_of("a"), b = tokenizer.id_of("b");
  EXPECT_TRUE(matcher->allowed({}).has(a));
  EXPECT_FALSE(matcher->allowed({}).has(b));
  EXPECT_FALSE(matcher->allowed({}).has(end));
  EXPECT_TRUE(matcher->allowed(Ids{a}).has(end));
  EXPECT_TRUE(matcher->allowed(Ids{a}).has(b));
  EXPECT_FALSE(matcher->is_whole(Ids{a}));
  EXPECT_TRUE(matcher->is_whole(Ids{a, b}));
  EXPECT_FALSE(matcher->is_whole({})) << "and back";
  EXPECT_THROW(matcher->allowed(Ids{b}), Error);
}

TEST_F(Grammars, AreTheSameOnEveryWayToAText) {
  const auto grammar = compiler.compile(form_of(R"({"type": "object", "properties": {"a": {"type": "array",
      "items": {"type": "number"}}, "b": {"type": "string"}}, "required": ["a"]})"));
  const Ids ids = tokenizer.encode(R"({"a": [1, 2.5e3], "b": "x é y"})");
  const auto walker = grammar->start();
  Rng rng(3, "walk");
  for (int i = 0; i < 60; ++i) {
    const auto n = static_cast<size_t>(rng.below(ids.size() + 1));
    const auto made = std::span(ids).first(n);
    const auto direct = grammar->start();
    const auto here = walker->allowed(made).words(), there = direct->allowed(made).words();
    EXPECT_TRUE(std::equal(here.begin(), here.end(), there.begin())) << n;
  }
  EXPECT_TRUE(walker->is_whole(ids));
}

TEST_F(Grammars, RefuseWhatTheyCannotKeepTo) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type": "object", "not": {}})", "not is not supported"},
      {R"({"properties": {"a": {"items": {"if": true}}}})", "#/properties/a/items: if is not supported"},
      {R"({"anyOf": [{"type": "object"}], "required": ["a"]})", "'required' beside 'anyOf'"},
      {R"({"minimum": 3})", "'minimum' without a 'type'"},
      {R"({"allOf": [{"type": "object"}, {"type": "object"}]})", "allOf"},
      {R"({"type": "nothing"})", "nothing"},
      {R"({"type": "number", "multipleOf": 0.5})", "multipleOf"},
      {R"({"$ref": "https://example.org/schema"})", "URI"},
      {R"j({"type": "string", "pattern": "a(?=b)"})j", "ookahead"},
      {R"j({"type": "string", "pattern": "(("})j", ""},
  };
  for (const auto& [schema, says] : cases) {
    try {
      compiler.compile(form_of(schema));
      ADD_FAILURE() << schema;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    }
  }
  EXPECT_THROW(compiler.compile({{"type", "grammar"}, {"grammar", "root ::= other"}}), Error);
  EXPECT_THROW(compiler.compile({{"type", "no such form"}}), Error);
  EXPECT_THROW(compiler.compile("text"), Error);
}

TEST_F(Grammars, EndAtTheirLimits) {
  const int ends = end;
  GrammarCompiler strict(tokenizer, vocab, std::span(&ends, 1),
                         {.compile_seconds = 1, .compile_bytes = int64_t{256} << 20});
  const auto regex = [](const std::string& pattern) { return Json{{"type", "regex"}, {"pattern", pattern}}; };
  std::string alternatives = "[a-c]";
  for (int i = 0; i < 12; ++i) alternatives = "(" + alternatives + "|[a-d]" + alternatives + "){1,30}";
  const Json forms[] = {
      regex("(a|b)*a" + std::string(3000, 'a') + "((a|b){900}){900}"),
      regex(alternatives),
      regex(std::string(200000, '(') + "a" + std::string(200000, ')')),
      {{"type", "grammar"}, {"grammar", "root ::= " + std::string(100000, '(') + "\"a\"" + std::string(100000, ')')}},
      {{"type", "grammar"}, {"grammar", "root ::= \"" + std::string(300000, 'a') + "\""}},
      form_of(R"({"type": "array", "minItems": 2000000000, "items": {"type": "array", "minItems": 2000000000}})"),
  };
  for (const Json& form : forms) {
    const auto begin = std::chrono::steady_clock::now();
    try {
      const auto grammar = strict.compile(form);
      grammar->start()->allowed({});
    } catch (const Error& e) { EXPECT_LT(std::string(e.what()).size(), 700u); }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30)) << json_text(form).substr(0, 100);
  }
  // Every letter can be read in more ways than all before it.
  const auto ambiguous =
      GrammarCompiler(tokenizer, vocab, std::span(&ends, 1), {.free_seconds = 0.01, .token_seconds = 0})
          .compile({{"type", "grammar"}, {"grammar", "root ::= root root root | \"a\""}});
  const auto matcher = ambiguous->start();
  Ids made;
  EXPECT_THROW(
      for (int i = 0; i < 2000; ++i) {
        matcher->allowed(made);
        made.push_back(tokenizer.id_of("a"));
      },
      Error);
}

/// What docs/performance.md tells: run by hand, with --gtest_also_run_disabled_tests.
TEST_F(Grammars, DISABLED_Cost) {
  using Clock = std::chrono::steady_clock;
  const auto us = [](Clock::time_point from) {
    return std::chrono::duration<double, std::micro>(Clock::now() - from).count();
  };
  const char* schema = R"({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"},
      "tags": {"type": "array", "items": {"type": "string"}}, "address": {"type": "object", "properties":
      {"street": {"type": "string"}, "zip": {"type": "string", "maxLength": 5}}, "required": ["street"]},
      "kind": {"enum": ["a", "b"]}}, "required": ["name", "age", "tags", "address", "kind"]})";
  const std::string text =
      R"({"name": "Ada Lovelace", "age": 36, "tags": ["mathematics", "engines", "poetry of science"], )"
      R"("address": {"street": "12 St James's Square, London", "zip": "SW1"}, "kind": "a"})";
  for (const std::string folder : {"models/base", "models/smollm2-135m", "models/gemma3-270m"}) {
    if (!std::ifstream(folder + "/tokenizer.json")) continue;
    const auto tokens = Tokenizer::load(folder);
    const int eos = tokens.eos_id();
    GrammarCompiler c(tokens, tokens.vocab_size(), std::span(&eos, 1));
    auto start = Clock::now();
    c.compile({{"type", "const_string"}, {"value", "x"}});
    fmt::print("{} ({} tokens): vocabulary {:.0f} ms", folder, tokens.vocab_size(), us(start) / 1000);
    start = Clock::now();
    const auto grammar = c.compile(form_of(schema));
    fmt::print(", schema {:.0f} ms", us(start) / 1000);
    const Ids ids = tokens.encode(text);
    std::vector<float> logits(tokens.vocab_size(), 0.5f);
    double mask = 0, worst = 0, draw[2] = {};
    const auto matcher = grammar->start();
    Sampler bound({.grammar = grammar}, tokens.vocab_size()), free({}, tokens.vocab_size());
    for (size_t n = 0; n < ids.size(); ++n) {
      const auto made = std::span(ids).first(n);
      start = Clock::now();
      matcher->allowed(made);
      const double t = us(start);
      mask += t, worst = std::max(worst, t);
      for (const bool with : {false, true}) {
        start = Clock::now();
        (with ? bound : free).draw(logits, {made, 0});
        draw[with] += us(start);
      }
    }
    const auto each = static_cast<double>(ids.size());
    fmt::print("; a token: mask {:.0f} us (most {:.0f}), greedy draw {:.0f} us with it, {:.0f} without\n", mask / each,
               worst, draw[1] / each, draw[0] / each);
  }
}

TEST(Rehearsal, TellsWhatWouldGoWrong) {
  const RehearsalLimits limits{.seconds = 1, .bytes = int64_t{64} << 20};
  int seen = 0;
  EXPECT_EQ(rehearse([&] { seen = 1; }, limits), "");
  EXPECT_EQ(seen, 0) << "it was another process";
  EXPECT_EQ(rehearse([] { fail("no such thing"); }, limits), "no such thing");
  EXPECT_NE(rehearse(
                [] {
                  while (true) asm volatile("");
                },
                limits)
                .find("longer than 1 seconds"),
            std::string::npos);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_NE(rehearse([] { std::vector<char>(size_t{1} << 30, 'x').shrink_to_fit(); }, limits).find("memory"),
            std::string::npos);
#endif
}

}  // namespace
}  // namespace jet
