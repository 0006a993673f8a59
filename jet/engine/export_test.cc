// Exported models in the engine: in either layout, the logits of their sources to the bit.
#include "jet/model/export.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "jet/engine/engine.h"
#include "jet/engine/test_models.h"
#include "jet/model/quantize.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

/// Of a prompt and of tokens one by one after it: both paths of every block.
std::vector<float> logits_of(const std::string& folder) {
  const auto e = Engine::load(folder, {.threads = 2, .kv = DType::f32, .exact = true, .poison = true});
  const auto ids = test_ids(48, 1, e->spec().vocab_size);
  const std::span<const int32_t> all(ids);
  auto s = e->create();
  std::vector<float> logits = prefilled(*e, *s, all.first(40), Want::all);
  for (size_t i = 40; i < all.size(); ++i) {
    const auto next = e->prefill(*s, all.subspan(i, 1));
    logits.insert(logits.end(), next.begin(), next.end());
  }
  return logits;
}

class ExportedModel : public testing::Test {
 protected:
  std::string exported(const std::string& source, const std::string& format) {
    const std::string target = fmt::format("{}/{}", folder_.path(), n_++);
    export_model(source, target, {.format = format, .shard_bytes = 100'000});
    return target;
  }
  std::string written(const ModelSpec& spec) {
    const std::string target = fmt::format("{}/{}", folder_.path(), n_++);
    write_test_model(target, spec);
    return target;
  }

 private:
  TemporaryFolder folder_;
  int n_ = 0;
};

TEST_F(ExportedModel, OfTheOfficialLayoutSaysTheSame) {
  const Attention::Config full{.heads = 4, .kv_heads = 2, .head_dim = 10, .qkv_bias = true};
  Attention::Config window = full, plain = full;
  window.window = 5;
  plain.qkv_bias = false;  // zeros there
  const JetBlock::Config jet{.heads = 3, .dk = 6, .dv = 10, .conv = 4, .generator = 3};
  for (const auto& layers : {std::vector<MixerSpec>{jet, full, window, jet}, {jet, plain}}) {
    const std::string own = written(test_spec(layers)), official = exported(own, "jet-nemotron");
    const auto logits = logits_of(own);
    EXPECT_EQ(logits_of(official), logits);
    EXPECT_EQ(logits_of(exported(official, "hf")), logits);
    EXPECT_NE(logits_of(written(test_spec({jet, full, full, jet}))), logits);
  }
}

TEST_F(ExportedModel, OfEveryBlockInOurLayoutSaysTheSame) {
  for (const auto& [name, spec] : test_models()) {
    const std::string own = written(spec);
    EXPECT_EQ(logits_of(exported(own, "hf")), logits_of(own)) << name;
  }
}

TEST_F(ExportedModel, OfDamagedWeightsIsNotWritten) {
  const ModelSpec spec = test_models().front().spec;
  for (const std::string name : {"model.norm.weight", "model.embed_tokens.weight"}) {
    const TemporaryFolder source, parent;
    write_test_model(source.path(), spec, name);
    for (const std::optional<DType> dtype : {std::optional<DType>(), std::optional(DType::bf16)}) {
      const std::string target = parent.path() + "/out";
      try {
        export_model(source.path(), target, {.format = "hf", .dtype = dtype});
        ADD_FAILURE() << name;
      } catch (const Error& e) { EXPECT_NE(std::string(e.what()).find("'" + name + "'"), std::string::npos); }
      EXPECT_TRUE(fs::is_empty(parent.path())) << name;
    }
  }
}

TEST_F(ExportedModel, OfEveryFamilySaysTheSame) {
  const auto families = reference_families();
  if (families.empty()) GTEST_SKIP() << "skipped: ../shared/golden/families is not here";
  for (const std::string& source : families) {
    const auto logits = logits_of(source);
    EXPECT_EQ(logits_of(exported(source, "hf")), logits) << source;
    const std::set<std::string> plain = {"llama", "mistral", "qwen2"};  // the others have what that layout has not
    if (plain.count(read_json(source + "/config.json").at("model_type"))) {
      EXPECT_EQ(logits_of(exported(source, "jet-nemotron")), logits) << source;
    } else {
      EXPECT_THROW(exported(source, "jet-nemotron"), Error) << source;
    }
  }
}

TEST_F(ExportedModel, StaysQuantizedInOurLayout) {
  TemporaryFolder folder;
  for (const DType type : {DType::q8, DType::q4}) {
    const std::string source = folder.path() + "/" + name_of(type);
    quantize_model("tests/fixtures/jet", source, {.type = type, .threads = 2});
    EXPECT_EQ(logits_of(exported(source, "hf")), logits_of(source));
    EXPECT_THROW(exported(source, "jet-nemotron"), Error);
    EXPECT_THROW(export_model(source, folder.path() + "/cast", {.dtype = DType::f32}), Error);
  }
}

}  // namespace
}  // namespace jet
