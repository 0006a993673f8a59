#include "jet/text/text_stream.h"

#include <gtest/gtest.h>

#include "jet/base/error.h"
#include "jet/base/rng.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

using Strings = std::vector<std::string>;

/// `bytes` in the pieces that the bits of `cuts` make, up to the one with the stop string.
std::string streamed(const std::string& bytes, const Strings& stops, uint64_t cuts, bool* stopped = nullptr) {
  TextStream stream(stops);
  std::string text;
  for (size_t begin = 0, end = 0; begin < bytes.size() && !stream.stopped(); begin = end) {
    for (end = begin + 1; end < bytes.size() && !(cuts >> (end - 1) & 1); ++end) continue;
    const std::string part = stream.add(bytes.substr(begin, end - begin));
    EXPECT_TRUE(is_valid_utf8(part));
    text += part;
  }
  if (stopped) *stopped = stream.stopped();
  return text + stream.finish();
}

/// Byte by byte: the first prefix that ends in a stop string, without the longest such.
std::string expected(const std::string& bytes, const Strings& stops) {
  for (size_t end = 1; end <= bytes.size(); ++end) {
    size_t longest = 0;
    for (const auto& s : stops) {
      if (std::string_view(bytes).substr(0, end).ends_with(s)) longest = std::max(longest, s.size());
    }
    if (longest > 0) return repair_utf8(bytes.substr(0, end - longest));
  }
  return repair_utf8(bytes);
}

TEST(TextStream, GivesTheSameHoweverTokensCut) {
  struct Case {
    std::string bytes;
    Strings stops;
    std::string text;
  };
  const Case cases[] = {
      {"plain text", {}, "plain text"},
      {"I am done! ok", {"done"}, "I am "},
      {"a dodone b", {"done"}, "a do"},
      {"xabcde", {"abcd", "bc"}, "xa"},  // the first that is whole
      {"xabcde", {"bc", "abc"}, "x"},    // of two at one byte, the longer
      {"aaab", {"aab"}, "a"},
      {"abababac", {"ababac"}, "ab"},
      {"one\n\ntwo", {"\n\n", "\n"}, "one"},
      {"caf\xc3\xa9 \xf0\x9f\x98\x80!", {"\xf0\x9f\x98\x80"}, "caf\xc3\xa9 "},
      {"caf\xc3\xa9 \xf0\x9f\x98\x81!", {"\xf0\x9f\x98\x80"}, "caf\xc3\xa9 \xf0\x9f\x98\x81!"},
      {"ends in do", {"done"}, "ends in do"},
      {"\xe2\x82"
       "done",
       {"done"},
       "\xef\xbf\xbd"},
      {"bad \xff\xc3(\xe2\x82", {}, "bad \xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd"},
      {"stop at once", {"s"}, ""},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(expected(c.bytes, c.stops), c.text);
    for (uint64_t cuts = 0; cuts < uint64_t{1} << (c.bytes.size() - 1); ++cuts) {
      ASSERT_EQ(streamed(c.bytes, c.stops, cuts), c.text) << c.bytes << " cut " << cuts;
    }
  }
}

TEST(TextStream, GivesTheSameOnRandomTexts) {
  Rng rng(1);
  const auto random = [&](size_t n) {
    std::string s;
    while (s.size() < n) s += Strings{"a", "b", "ab", "\xc3\xa9", "\xc3", "\xf0\x9f\x98\x80"}[rng.below(6)];
    return s;
  };
  int stopped = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string bytes = random(25);
    Strings stops;
    while (stops.size() < 3) {
      std::string s = random(1 + rng.below(4));
      if (is_valid_utf8(s)) stops.push_back(std::move(s));
    }
    bool stops_here = false;
    ASSERT_EQ(streamed(bytes, stops, rng.next(), &stops_here), expected(bytes, stops));
    stopped += stops_here;
  }
  EXPECT_GT(stopped, 1000);
}

TEST(TextStream, HoldsBackNoMoreThanItMust) {
  TextStream stream({"done", "\n\n"});
  EXPECT_EQ(stream.add("I am "), "I am ");
  EXPECT_EQ(stream.add("d"), "");
  EXPECT_EQ(stream.add("oing"), "doing");
  EXPECT_EQ(stream.add(" ok\n"), " ok");
  EXPECT_EQ(stream.add("\xc3"), "\n");
  EXPECT_EQ(stream.add("\xa9 do"), "\xc3\xa9 ");
  EXPECT_FALSE(stream.stopped());
  EXPECT_EQ(stream.add("ne!"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.add("more"), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, RefusesStopStringsThatAreNone) {
  EXPECT_THROW(TextStream({"fine", ""}), Error);
  EXPECT_THROW(TextStream({"\xff"}), Error);
}

}  // namespace
}  // namespace jet
