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

}  // namespace
}  // namespace jet
