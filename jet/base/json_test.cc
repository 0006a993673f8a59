#include "jet/base/json.h"

#include <gtest/gtest.h>

namespace jet {
namespace {

std::string error_of(const std::string& text) {
  try {
    parse_json(text, "here");
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

template <class T>
bool reads(const char* value) {
  try {
    get<T>(Json{{"key", Json::parse(value)}}, "key", "here");
    return true;
  } catch (const Error&) { return false; }
}

TEST(Json, RejectsWhatCannotBeWalkedOrHeld) {
  EXPECT_EQ(error_of("{\"a\": "), "here: not valid JSON at byte 7");
  EXPECT_EQ(error_of("[1e999]"), "here: not valid JSON: a number is out of range");
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_EQ(error_of(nested(200)), "no error");
  EXPECT_EQ(error_of(nested(201)), "here: JSON nested deeper than 200");
  EXPECT_EQ(error_of("[\"" + nested(201) + "\\\"" + nested(201) + "\"]"), "no error");  // brackets in a string
  EXPECT_THROW(parse_sorted_json(nested(100000), "here"), Error);
}

TEST(Json, NumbersMustFitTheirType) {
  EXPECT_TRUE(reads<int>("2147483647"));
  EXPECT_TRUE(reads<int>("4096.0"));
  for (const char* bad : {"2147483648", "-2147483649", "18446744073709551615", "1.5", "1e300", "true", "\"1\"", "[]"}) {
    EXPECT_FALSE(reads<int>(bad)) << bad;
  }
  EXPECT_TRUE(reads<double>("1e300"));
  EXPECT_TRUE(reads<double>("7"));
  EXPECT_FALSE(reads<float>("1e300"));
  EXPECT_FALSE(reads<double>("false"));
  EXPECT_TRUE(reads<bool>("false"));
  EXPECT_FALSE(reads<bool>("0"));
  EXPECT_TRUE(reads<std::vector<int>>("[1, 2]"));
  EXPECT_FALSE(reads<std::vector<int>>("[1, 4294967297]"));
}

TEST(Json, TextIsValidWhateverBytesItIsMadeOf) {
  const std::string latin1 = "caf\xe9", cut = "\xe2\x82", alone = "a\xff.";
  const Json j = {{latin1, {alone, cut}}};
  EXPECT_EQ(json_text(j), "{\"caf\ufffd\":[\"a\ufffd.\",\"\ufffd\"]}");
  EXPECT_EQ(json_text(j, 1), "{\n \"caf\ufffd\": [\n  \"a\ufffd.\",\n  \"\ufffd\"\n ]\n}");
  EXPECT_EQ(json_text(SortedJson{{"b", alone}, {"a", 1}}), "{\"a\":1,\"b\":\"a\ufffd.\"}");
  EXPECT_EQ(json_text(parse_json("\"\u00fc\"", "here")), "\"\u00fc\"");
  // The errors that quote what they found.
  EXPECT_THROW(get<int>(j, latin1, "here"), Error);
}

TEST(Error, IsOneLineWhateverItQuotes) {
  try {
    fail("{}: unknown", std::string("a\nb\tc\x7f"));
  } catch (const Error& e) { EXPECT_STREQ(e.what(), "a b c : unknown"); }
}

}  // namespace
}  // namespace jet
