// Wrong numbers in config.json: each is an Error that names its key, none reaches a block.
#include <gtest/gtest.h>

#include "jet/model/checkpoint.h"

namespace jet {
namespace {

Json llama() {
  return {{"model_type", "llama"},    {"vocab_size", 512},
          {"hidden_size", 64},        {"intermediate_size", 128},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"num_hidden_layers", 3},   {"max_position_embeddings", 1024},
          {"eos_token_id", {1, 2}}};
}

Json gemma() {
  Json j = llama();
  j.update({{"model_type", "gemma3_text"}, {"query_pre_attn_scalar", 256}, {"sliding_window", 512}});
  return j;
}

Json jet_nemotron() { return read_json("tests/fixtures/jet/config.json"); }

/// One attention layer in our own layout.
Json jet_cpp() {
  Json spec = spec_to_json(read_spec(llama(), "here"));
  return {{"model_type", "jet_cpp"}, {"spec", spec}};
}

std::string error_of(const Json& config) {
  try {
    read_spec(config, "here");
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

struct Case {
  Json (*config)();
  const char *pointer, *value, *error;
};

TEST(Families, NameTheWrongNumber) {
  const Case cases[] = {
      {llama, "/vocab_size", "4294967301", "vocab_size"},  // 5, were it wrapped
      {llama, "/hidden_size", "64.5", "hidden_size"},
      {llama, "/num_attention_heads", "true", "num_attention_heads"},
      {llama, "/num_attention_heads", "0", "num_attention_heads"},
      {llama, "/num_hidden_layers", "1000000000", "num_hidden_layers"},
      {llama, "/head_dim", "1073741824", "head_dim"},
      {llama, "/eos_token_id", "[4294967297]", "eos_token_id"},
      {llama, "/eos_token_id", "\"two\"", "eos_token_id"},
      {llama, "/rms_norm_eps", "1e300", "rms_norm_eps"},
      {llama, "/rms_norm_eps", "-1", "rms_norm_eps"},
      {llama, "/rope_theta", "0", "theta"},
      {llama, "/rope_scaling", R"({"rope_type": "llama3", "factor": 0, "low_freq_factor": 1, "high_freq_factor": 4,
                                   "original_max_position_embeddings": 256})",
       "factor"},
      {llama, "/rope_scaling", R"({"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
                                   "original_max_position_embeddings": 256})",
       "high_freq_factor"},
      {gemma, "/sliding_window_pattern", "0", "sliding_window_pattern"},
      {gemma, "/query_pre_attn_scalar", "0", "query_pre_attn_scalar"},
      {jet_nemotron, "/efficient_attention_config/jet/dconv_generator_reduction", "0", "dconv_generator_reduction"},
      {jet_nemotron, "/efficient_attention_config/jet/dconv_generator_reduction", "1000000", "generator"},
      {jet_nemotron, "/efficient_attention_config/jet/expand_v", "\"inf\"", "expand_v"},
      {jet_nemotron, "/efficient_attention_config/jet/expand_v", "1e300", "expand_v"},
      {jet_nemotron, "/efficient_attention_config/jet/expand_v", "-1", "expand_v"},
      {jet_nemotron, "/efficient_attention_config/jet/norm_eps", "\"1e-5 and more\"", "norm_eps"},
      {jet_nemotron, "/efficient_attention_config/jet/norm_eps", "\"1e300\"", "norm_eps"},
      {jet_nemotron, "/efficient_attention_config/jet/num_heads", "2147483647", "generator"},
      {jet_nemotron, "/efficient_attention_config", "7", "'jet' is missing"},
      {jet_cpp, "/spec", "7", "expected a table"},
      {jet_cpp, "/spec/layers/0", "7", "kind"},
      {jet_cpp, "/spec/layers", "[]", "number of layers"},
  };
  for (const auto& c : cases) {
    ASSERT_EQ(error_of(c.config()), "no error");
    Json j = c.config();
    j[Json::json_pointer(c.pointer)] = Json::parse(c.value);
    EXPECT_NE(error_of(j).find(c.error), std::string::npos) << c.pointer << " " << c.value << ": " << error_of(j);
  }
}

TEST(Families, SizesWhoseProductsOverflowAreDamage) {
  Json j = llama();
  for (const char* key : {"num_attention_heads", "num_key_value_heads", "head_dim"}) j[key] = 1 << 20;
  for (const char* key : {"hidden_size", "max_position_embeddings"}) j[key] = 1 << 30;
  EXPECT_NE(error_of(j).find("damaged"), std::string::npos) << error_of(j);
}

Json with(Json config, const Json& keys) {
  config.update(keys);
  return config;
}

const Attention::Config& first(const ModelSpec& s) { return std::get<Attention::Config>(s.layers[0]); }

/// Of heads of 16 channels in a context of 256.
Rope rope_of(const char* table) {
  const Json keys = {{"head_dim", 16}, {"max_position_embeddings", 256}, {"rope_scaling", Json::parse(table)}};
  return first(read_spec(with(llama(), keys), "here")).rope;
}

void expect_frequencies(const Rope& rope, double magnitude, const std::vector<double>& want) {
  EXPECT_NEAR(rope.magnitude.value_or(1), magnitude, 1e-9);
  const auto got = rope.frequencies(16);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i] / want[i], 1, 1e-6) << i;
}

// What transformers 5.24's ROPE_INIT_FUNCTIONS give.
TEST(Families, RopesAreThoseOfTransformers) {
  expect_frequencies(rope_of(R"({"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 64})"),
                     1.138629436111989,
                     {1.0, 0.2371708, 0.05, 0.007905695, 0.0025, 0.0007905695, 0.00025, 7.905695e-05});
  expect_frequencies(rope_of(R"({"type": "yarn", "factor": 8, "original_max_position_embeddings": 32, "mscale": 1,
                                 "mscale_all_dim": 0.5, "truncate": false})"),
                     1.094179988101349,
                     {1.0, 0.120534, 0.0125, 0.003952847, 0.00125, 0.0003952847, 0.000125, 3.952847e-05});
  const char* longrope = R"({"rope_type": "longrope", "factor": 4, "original_max_position_embeddings": 64,
      "short_factor": [1, 1.5, 2, 3, 4, 5, 6, 8], "long_factor": [2, 2, 2, 2, 2, 2, 2, 2]})";
  expect_frequencies(rope_of(longrope), 1.1547005383792517,
                     {1.0, 0.2108185, 0.05, 0.01054092, 0.0025, 0.0006324556, 0.0001666667, 3.952847e-05});
  const Json keys = {{"head_dim", 16}, {"rope_scaling", Json::parse(longrope)}};
  EXPECT_EQ(read_spec(with(llama(), keys), "here").max_position_embeddings, 64);  // as far as the short factors go
  EXPECT_EQ(rope_of(R"({"rope_type": "dynamic", "factor": 2})"), rope_of(R"({"rope_type": "default"})"));
  EXPECT_EQ(rope_of(R"({"rope_type": "linear", "factor": 2})").frequencies(16)[0], 0.5);
}

// Old and new spelling side by side: as in transformers, the older one was added by hand and counts.
TEST(Families, RopeScalingCountsBesideRopeParameters) {
  const Json keys = {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5000}}},
                     {"rope_scaling", {{"rope_type", "linear"}, {"factor", 2}}}};
  EXPECT_TRUE(first(read_spec(with(llama(), keys), "here")).rope.divide.has_value());
  EXPECT_NE(error_of(with(llama(), {{"rope_scaling", {{"rope_type", "linear"}, {"type", "yarn"}}}})).find("older"),
            std::string::npos);
}

TEST(Families, AbsentKeysAreTheFamilys) {
  const ModelSpec mistral = read_spec(Json{{"model_type", "mistral"}}, "here");
  EXPECT_EQ(mistral.n_layers(), 32);
  EXPECT_EQ(first(mistral).window, 4096);
  EXPECT_EQ(first(mistral).kv_heads, 8);
  EXPECT_EQ(first(read_spec(Json{{"model_type", "mistral"}, {"sliding_window", nullptr}}, "here")).window, 0);
  const ModelSpec qwen = read_spec(Json{{"model_type", "qwen3"}, {"use_sliding_window", true}}, "here");
  EXPECT_EQ(first(qwen).head_dim, 128);
  EXPECT_EQ(std::get<Attention::Config>(qwen.layers[27]).window, 0);
  EXPECT_EQ(std::get<Attention::Config>(qwen.layers[28]).window, 4096);
  const ModelSpec gemma3 = read_spec(Json{{"model_type", "gemma3_text"}}, "here");
  EXPECT_TRUE(gemma3.tie_word_embeddings);
  EXPECT_EQ(first(gemma3).rope.theta, 10000);
  EXPECT_EQ(std::get<Attention::Config>(gemma3.layers[5]).rope.theta, 1e6);
  EXPECT_EQ(gemma3.eos_token_id, std::vector<int>{1});
}

TEST(Families, RefuseWhatTheyDoNotDo) {
  const std::pair<Json, const char*> cases[] = {
      {with(gemma(), {{"use_bidirectional_attention", true}}), "use_bidirectional_attention"},
      {with(gemma(), {{"final_logit_softcapping", 30.0}}), "final_logit_softcapping"},
      {with(gemma(), {{"layer_types", {"full_attention"}}}), "layer_types has 1 entries for 3 layers"},
      {with(gemma(), {{"layer_types", {"full_attention", "x", "full_attention"}}}), "unknown type 'x'"},
      {with(llama(), {{"mlp_bias", true}}), "mlp_bias"},
      {with(llama(), {{"partial_rotary_factor", 0.5}}), "partial_rotary_factor"},
      {with(llama(), {{"is_encoder_decoder", true}}), "is_encoder_decoder"},
      {with(llama(), {{"rope_scaling", {{"rope_type", "linear"}, {"factor", 2}, {"base", 3}}}}), "rope key 'base'"},
      {Json{{"model_type", "granitemoehybrid"}}, "mixtures of experts"},
  };
  for (const auto& [config, error] : cases)
    EXPECT_NE(error_of(config).find(error), std::string::npos) << error << ": " << error_of(config);
}

}  // namespace
}  // namespace jet
