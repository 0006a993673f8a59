#include "jet/model/golden.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <numeric>

#include "jet/base/error.h"
#include "jet/base/file.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

class GoldenTest : public testing::Test {
 protected:
  GoldenTest() { fs::create_directories(root_); }
  ~GoldenTest() override { fs::remove_all(root_); }

  /// A file of zeros.
  std::string tensors(const std::string& name, const std::vector<std::pair<std::string, Shape>>& list,
                      const std::map<std::string, std::string>& metadata = {}) const {
    const std::vector<float> zeros(4096);
    std::vector<TensorToWrite> out;
    for (const auto& [tensor, shape] : list) out.push_back({tensor, DType::f32, shape, zeros.data()});
    fs::create_directories(fs::path(root_ + name).parent_path());
    write_safetensors(root_ + name, out, metadata);
    return root_ + name;
  }
  /// The suffix of the traced input; "none" where there is none, "?" where it is not told.
  std::string traced(const std::vector<std::pair<std::string, Shape>>& list) const {
    const SafeTensors golden = SafeTensors::open(tensors("traced.safetensors", list));
    const auto inputs = golden_inputs(golden);
    try {
      const GoldenInput* in = traced_input(golden, inputs);
      return in ? in->suffix : "none";
    } catch (const Error&) { return "?"; }
  }

  const std::string root_ = fs::temp_directory_path().string() + "/jet-golden-test-" + std::to_string(getpid()) + "/";
};

TEST_F(GoldenTest, ABadFolderIsOneFailedCaseAndEndsNoOther) {
  tensors("a_good/golden.safetensors", {{"x", {1}}});
  write_file(root_ + "a_good/config.json", "{}");
  tensors("b_throws/golden.safetensors", {{"x", {1}}});
  write_file(root_ + "b_throws/config.json", "{\"source_class\": \"fla.layers.None\"}");
  tensors("c_config/golden.safetensors", {{"x", {1}}});
  write_file(root_ + "c_config/config.json", "{\"source_class");
  tensors("d_none/golden.safetensors", {{"x", {1}}});
  tensors("e_op.safetensors", {{"o", {1}}}, {{"rule", "o = q"}});
  tensors("e_weights.safetensors", {{"o", {1}}});
  write_file(root_ + "f_op.safetensors", "no tensors");
  tensors("g_good/golden.safetensors", {{"x", {1}}});
  write_file(root_ + "g_good/config.json", "{}");
  const auto cases = verify_all(root_, [](const std::string& path, GoldenKind kind, std::vector<VerifyCase>& out) {
    out.push_back(compare(kind == GoldenKind::op ? "op" : "folder", 0, 1));
    if (kind == GoldenKind::op) SafeTensors::open(path);
    require(kind != GoldenKind::block, "{}: no\nsuch block", path);
  });
  std::string told;
  for (const auto& c : cases) {
    told += fmt::format("{} {}\n", c.name, c.ok ? "ok" : "failed");
    EXPECT_EQ(c.ok, c.note.empty());
    EXPECT_EQ(c.ok, std::isfinite(c.error));
    EXPECT_EQ(c.note.find('\n'), std::string::npos);
  }
  EXPECT_EQ(told,
            "a_good: folder ok\nb_throws: folder ok\nb_throws: all failed\nc_config: all failed\nd_none: all failed\n"
            "e_op.safetensors: op ok\nf_op.safetensors: op ok\nf_op.safetensors: all failed\ng_good: folder ok\n");
  EXPECT_THROW(verify_all(root_ + "none", {}), Error);
  fs::create_directories(root_ + "empty");
  EXPECT_THROW(verify_all(root_ + "empty", {}), Error);
}

TEST_F(GoldenTest, TheTracedInputIsReadFromShapesAndNames) {
  const Shape ids5{2, 5}, ids9{2, 9};
  EXPECT_EQ(traced({{"input_ids.5", ids5}, {"input_ids.9", ids9}, {"logits.5", {2, 5, 3}}}), "none");
  EXPECT_EQ(traced({{"input_ids.5", ids5}, {"input_ids.9", ids9}, {"hidden.norm", {2, 5, 3}}}), ".5");
  EXPECT_EQ(traced({{"input_ids.5", ids5}, {"input_ids.9", ids9}, {"mixer_out.layer.0", {2, 9, 3}}}), ".9");
  // A window's keys are fewer than the tokens; another layer's are all of them.
  EXPECT_EQ(
      traced(
          {{"input_ids.5", ids5}, {"input_ids.9", ids9}, {"cache.1.key", {2, 1, 4, 3}}, {"cache.3.key", {2, 1, 9, 3}}}),
      ".9");
  EXPECT_EQ(traced({{"input_ids", ids5}, {"input_ids_long", ids9}, {"loss", {1}}, {"grad.w", {3}}}), "");
  EXPECT_EQ(traced({{"input_ids", ids9}, {"grad.w", {3}}}), "");
  EXPECT_EQ(traced({{"input_ids.5", ids5}, {"input_ids.9", ids9}, {"grad.w", {3}}}), "?");
  EXPECT_EQ(traced({{"input_ids.5", ids5}, {"hidden.norm", {2, 6, 3}}}), "?");
  EXPECT_THROW(golden_inputs(SafeTensors::open(tensors("none.safetensors", {{"x", {1}}}))), Error);
}

TEST(Golden, CacheEntries) {
  EXPECT_EQ(cache_entry("cache.12.recurrent_state").layer, 12);
  EXPECT_STREQ(cache_entry("cache.0.key").state, "keys");
  EXPECT_TRUE(cache_entry("cache.0.conv_state").swapped);
  for (const char* wrong : {"cache.0.other", "cache.key", "cache.-1.key", "cache."}) {
    EXPECT_THROW(cache_entry(wrong), Error);
  }
}

}  // namespace
}  // namespace jet
