// Every number of every table of a recipe has a range, and a value outside of it is one line that names key and range.
#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/file.h"
#include "jet/search/recipe.h"
#include "jet/search/study.h"

namespace jet {
namespace {

template <class T>
struct NumberIn {  // a number, or lists of them
  static constexpr bool value = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
  static std::string pointer() { return ""; }
};
template <class T>
struct NumberIn<std::vector<T>> {
  static constexpr bool value = NumberIn<T>::value;
  static std::string pointer() { return "/0" + NumberIn<T>::pointer(); }
};

// f(JSON pointer, key, range) of every number of the tables.
template <HasFields S, class F>
void each_number(const std::string& pointer, const F& f) {
  S s{};
  S::fields(s, [&](const char* key, auto& field, const auto&... range) {
    using T = std::decay_t<decltype(field)>;
    const std::string here = pointer + "/" + key;
    if constexpr (HasFields<T>) {
      each_number<T>(here, f);
    } else if constexpr (IsVector<T>::value) {
      if constexpr (HasFields<typename T::value_type>) each_number<typename T::value_type>(here + "/0", f);
    }
    if constexpr (NumberIn<T>::value) {
      static_assert(sizeof...(range) == 1, "a number of a table without a range");
      f(here + NumberIn<T>::pointer(), std::string(key), range...);
    }
  });
}

template <class S>
std::string error_of(const Json& tables) {
  try {
    from_json_fields<S>(tables, "r.toml");
  } catch (const Error& e) { return e.what(); }
  return "";
}

template <HasFields S>
int refuses_what_is_out_of_range(const Json& good) {
  int numbers = 0;
  EXPECT_EQ(error_of<S>(good), "");
  each_number<S>("", [&](const std::string& pointer, const std::string& key, const NumberRange& range) {
    ++numbers;
    std::vector<double> bad = {range.low - 1, 2 * range.high + 1, NAN, INFINITY, -INFINITY};
    if (range.without_low) bad.push_back(range.low);
    if (range.without_high) bad.push_back(range.high);
    for (const double x : bad) {
      Json tables = good;
      tables[Json::json_pointer(pointer)] = x;
      const std::string error = error_of<S>(tables);
      EXPECT_TRUE(error.starts_with("r.toml: ") && error.find('\n') == std::string::npos) << pointer << ": " << error;
      EXPECT_NE(error.find(key), std::string::npos) << pointer << " = " << x << ": " << error;
      EXPECT_NE(error.find("expected a number in " + range.text()), std::string::npos) << pointer << ": " << error;
    }
  });
  return numbers;
}

const Json kLeastRecipe = {{"data", {{{"name", "a"}, {"path", "a.txt"}}}}};

TEST(Ranges, NumbersOfRecipes) {
  EXPECT_GT(refuses_what_is_out_of_range<Recipe>(kLeastRecipe), 150);
  EXPECT_GT(refuses_what_is_out_of_range<StudyRecipe>({{"kinds", {"gla"}}, {"tasks", {{{"kind", "mqar"}}}}}), 20);
}

TEST(Ranges, WhatKeysOfATableMustAgreeOn) {
  const auto refused = [](const char* pointer, const Json& value, const std::vector<const char*>& words) {
    Json tables = kLeastRecipe;
    tables[Json::json_pointer(pointer)] = value;
    const std::string error = error_of<Recipe>(tables);
    for (const char* w : words) EXPECT_NE(error.find(w), std::string::npos) << pointer << ": " << error;
  };
  const auto train = [](const Json& j) { return Json{{"train", j}}; };
  refused("/distill/stage1", train({{"clip", 0}}), {"distill: stage1: train: clip is 0", "(0, 1e+09]", "1e9 clips"});
  refused("/distill/stage1", {{"feature_weight", 0}, {"kl_weight", 0}},
          {"stage1: feature_weight, kl_weight and hidden_weight are 0"});
  refused("/distill/stage1", {{"feature_weight", 0}, {"local", true}}, {"feature_weight is 0", "local"});
  refused("/distill/stage2/local", true, {"only stage1"});
  refused("/distill/stage1/vocabulary", false, {"stage1: vocabulary", "stage2"});
  refused("/blocks/budget/distill/vocabulary", false, {"distill: vocabulary", "stage2"});
  refused("/supernet", {{"branch", "attention:window=64"}, {"starts_students", true}},
          {"starts_students", "no weights"});
  refused("/pretrain", {{"accumulate", 9}, {"batch", 8}}, {"pretrain: accumulate is 9", "[1, 8]"});
  refused("/pretrain", {{"chunk", 64}, {"length", 64}}, {"pretrain: chunk is 64", "below length"});
  refused("/model", {{"hidden", 100}, {"heads", 3}}, {"model: hidden is 100", "multiple of heads (3)"});
  refused("/model", {{"heads", 4}, {"kv_heads", 3}}, {"kv_heads (3)"});
  refused("/placement/selectors", {"beam", "magic"}, {"placement: unknown selector 'magic'", "exhaustive"});
  refused("/placement/selectors", {"given"}, {"placement: the selector 'given'", "names 0 where full = 2"});
  refused("/supernet/branch", "magic", {"supernet: unknown block 'magic'"});
  refused("/supernet/branch", "attention:sinks=4", {"supernet: attention takes its own place", "window"});
  refused("/dimensions/candidates", {{1, 2, 3}, {1, 2, 4}}, {"another state size"});
  Json apart = kLeastRecipe;
  apart["separate_documents"] = true;
  apart["blocks"]["budget"]["align"] = {{"chunk", 32}};
  EXPECT_NE(error_of<Recipe>(apart).find("blocks.budget.align: chunk"), std::string::npos) << error_of<Recipe>(apart);
}

TEST(Ranges, WhatTomlCallsANumber) {
  const std::string path = testing::TempDir() + "jet_ranges.toml";
  for (const char* value : {"nan", "inf", "-inf", "1e300", "0"}) {
    write_file(path, fmt::format("[[data]]\nname = 'a'\npath = 'a'\n[pretrain]\nlr = {}\n", value));
    EXPECT_THROW(
        {
          try {
            read_recipe(path);
          } catch (const Error& e) {
            EXPECT_NE(std::string(e.what()).find("pretrain: lr is"), std::string::npos) << e.what();
            throw;
          }
        },
        Error)
        << value;
  }
  write_file(path, "[pretrain]\nlr = 1979-05-27\n");
  EXPECT_THROW(read_recipe(path), Error);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace jet
