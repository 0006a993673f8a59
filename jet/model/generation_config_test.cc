#include "jet/model/generation_config.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/file.h"
#include "jet/model/checkpoint.h"

namespace jet {
namespace {

ModelSpec with_eos(std::vector<int> eos) {
  ModelSpec spec;
  spec.eos_token_id = std::move(eos);
  return spec;
}

GenerationConfig read(const char* text, const ModelSpec& spec = with_eos({5})) {
  return read_generation_config(parse_json(text, "test"), "folder/generation_config.json", spec);
}

TEST(GenerationConfig, NamesTheEndsOfText) {
  using Ids = std::vector<int>;
  EXPECT_EQ(read(R"({"eos_token_id": 7})").eos_token_id, Ids{7});
  EXPECT_EQ(read(R"({"eos_token_id": [7, 9]})").eos_token_id, (Ids{7, 9}));
  EXPECT_EQ(read(R"({"eos_token_id": []})").eos_token_id, Ids{});
  EXPECT_EQ(read(R"({"eos_token_id": null})").eos_token_id, Ids{5}) << "config.json's";
  EXPECT_EQ(read("{}").eos_token_id, Ids{5});
}

TEST(GenerationConfig, HoldsSamplingSettings) {
  const SamplingSettings none = read(R"({"top_k": null, "cache_implementation": "hybrid"})").sampling;
  EXPECT_FALSE(none.do_sample || none.temperature || none.top_k || none.top_p || none.min_p || none.typical_p ||
               none.repetition_penalty);
  const SamplingSettings all = read(R"({"do_sample": true, "temperature": 1, "top_k": 64, "top_p": 0.95, "min_p": 0.1,
                                        "typical_p": 0.9, "repetition_penalty": 1.05})")
                                   .sampling;
  EXPECT_EQ(all.do_sample, true);
  EXPECT_EQ(all.temperature, 1.f);
  EXPECT_EQ(all.top_k, 64);
  EXPECT_EQ(all.top_p, 0.95f);
  EXPECT_EQ(all.min_p, 0.1f);
  EXPECT_EQ(all.typical_p, 0.9f);
  EXPECT_EQ(all.repetition_penalty, 1.05f);
}

TEST(GenerationConfig, WrittenConfigsKeepEveryEndOfText) {
  ModelSpec spec = read_spec("tests/fixtures/qwen2");
  for (const auto& eos : std::vector<std::vector<int>>{{}, {5}, {5, 7}}) {
    spec.eos_token_id = eos;
    for (const char* type : {"jet_cpp", "qwen2"}) {
      EXPECT_EQ(read_spec(family_named(type, "test").write(spec, "test"), "test").eos_token_id, eos) << type;
    }
  }
}

TEST(GenerationConfig, ErrorsNameFileAndKey) {
  for (const auto& [text, key] : {std::pair{R"({"eos_token_id": "two"})", "eos_token_id"},
                                  {R"({"eos_token_id": [1, "two"]})", "eos_token_id"},
                                  {R"({"eos_token_id": 4294967297})", "eos_token_id"},
                                  {R"({"do_sample": 1})", "do_sample"},
                                  {R"({"top_k": 1.5})", "top_k"},
                                  {R"({"temperature": "hot"})", "temperature"},
                                  {R"({"top_p": [0.9]})", "top_p"},
                                  {R"([])", "table"}}) {
    try {
      read(text);
      ADD_FAILURE() << text << " was taken";
    } catch (const Error& e) {
      const std::string message = e.what();
      EXPECT_NE(message.find("folder/generation_config.json"), std::string::npos) << message;
      EXPECT_NE(message.find(key), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }
}

TEST(GenerationConfig, ComesWithACheckpointAndGoesWithItsCompanions) {
  const std::string folder = ::testing::TempDir() + "/generation-config";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(std::string("tests/fixtures/qwen2/") + name, folder + "/" + name);
  }
  EXPECT_EQ(Checkpoint::open(folder).generation.eos_token_id, read_spec(folder).eos_token_id);
  write_file(folder + "/generation_config.json", R"({"eos_token_id": [3, 11], "do_sample": true})");
  const Checkpoint c = Checkpoint::open(folder);
  EXPECT_EQ(c.generation.eos_token_id, (std::vector<int>{3, 11}));
  EXPECT_EQ(c.generation.sampling.do_sample, true);
  write_file(folder + "/chat_template.jinja", "{{ messages }}");
  const std::string saved = folder + "/saved";
  std::filesystem::create_directories(saved);
  const std::vector<TensorToWrite> none;
  EXPECT_NO_THROW(save_checkpoint(saved, c.spec, none, folder));
  for (const char* name : {"/generation_config.json", "/chat_template.jinja"})
    EXPECT_EQ(read_file(saved + name), read_file(folder + name));
  write_file(folder + "/generation_config.json", "{");
  EXPECT_THROW(Checkpoint::open(folder), Error);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace jet
