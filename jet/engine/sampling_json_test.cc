#include "jet/engine/sampling_json.h"

#include <gtest/gtest.h>

#include <cmath>

namespace jet {
namespace {

GenerateOptions options_from(const char* json, SamplingSettings& asked) {
  GenerateOptions o{.max_new_tokens = 9};
  read_sampling(parse_json(json, "line"), "line", o, asked);
  return o;
}

TEST(SamplingJson, ReadsWhatIsThere) {
  SamplingSettings asked;
  const auto o = options_from(R"({"max_tokens": 5, "ignore_eos": true, "temperature": 0.5, "top_k": -1, "top_p": 0.25,
      "min_p": 0.125, "typical_p": 0.75, "repeat_penalty": 1.5, "presence_penalty": -1, "frequency_penalty": 2,
      "logit_bias": {"11": -2.5, "7": -100}, "seed": -1, "stop": ["a", "b"], "prompt": 1})",
                              asked);
  EXPECT_EQ(o.max_new_tokens, 5);
  EXPECT_TRUE(o.ignore_eos);
  EXPECT_EQ(asked.temperature, 0.5f);
  EXPECT_EQ(asked.top_k, 0) << "all";
  EXPECT_EQ(asked.top_p, 0.25f);
  EXPECT_EQ(asked.min_p, 0.125f);
  EXPECT_EQ(asked.typical_p, 0.75f);
  EXPECT_EQ(asked.repetition_penalty, 1.5f);
  EXPECT_EQ(o.sampler.presence_penalty, -1);
  EXPECT_EQ(o.sampler.frequency_penalty, 2);
  EXPECT_EQ(o.sampler.logit_bias, (std::vector<std::pair<int32_t, float>>{{11, -2.5f}, {7, -INFINITY}}));
  EXPECT_EQ(o.sampler.seed, UINT64_MAX);
  EXPECT_EQ(o.stop_strings, (std::vector<std::string>{"a", "b"}));
  for (const char* key : {"max_new_tokens", "max_output_tokens", "max_completion_tokens"})
    EXPECT_EQ(options_from(fmt::format("{{\"{}\": 3}}", key).c_str(), asked).max_new_tokens, 3);
}

TEST(SamplingJson, KeepsWhatIsNot) {
  SamplingSettings asked{.temperature = 1.0f};
  const auto o = options_from(R"({"temperature": null, "max_tokens": null, "stop": null, "seed": null})", asked);
  EXPECT_EQ(asked.temperature, 1.0f);
  EXPECT_FALSE(asked.top_p);
  EXPECT_EQ(o.max_new_tokens, 9);
  EXPECT_TRUE(o.stop_strings.empty());
  EXPECT_EQ(options_from(R"({"stop": "x", "max_tokens": 99999999999})", asked).stop_strings,
            (std::vector{std::string("x")}));
}

TEST(SamplingJson, SaysWhatIsWrongAndWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"max_tokens": -1})", "line: 'max_tokens' is -1, below 0"},
      {R"({"max_new_tokens": 1.5})", "line: key 'max_new_tokens' has the wrong type or is out of range: 1.5"},
      {R"({"temperature": "hot"})", "line: key 'temperature' has the wrong type or is out of range: \"hot\""},
      {R"({"top_p": 1e300})", "line: key 'top_p' has the wrong type or is out of range: 1e+300"},
      {R"({"seed": 1e30})", "line: key 'seed' has the wrong type or is out of range: 1e+30"},
      {R"({"stop": [1]})", "line: key 'stop' has the wrong type or is out of range: [1]"},
      {R"({"logit_bias": [1]})", "line: 'logit_bias' is no object of ids"},
      {R"({"logit_bias": {"a": 1}})", R"(line: 'logit_bias' is {"id": number}, found '{"a":1}')"},
      {R"({"logit_bias": {"99999999999": 1}})", R"(line: 'logit_bias' is {"id": number}, found '{"99999999999":1}')"},
  };
  for (const auto& [json, text] : cases) {
    SamplingSettings asked;
    try {
      options_from(json, asked);
      ADD_FAILURE() << json;
    } catch (const Error& e) { EXPECT_STREQ(e.what(), text); }
  }
}

}  // namespace
}  // namespace jet
