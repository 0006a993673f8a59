#include "jet/eval/verify.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "jet/base/file.h"
#include "jet/data/test_folder.h"
#include "jet/engine/engine.h"
#include "jet/model/checkpoint.h"

namespace jet {
namespace {

namespace fs = std::filesystem;
const std::string kShared = "../shared/golden";
constexpr const char* kFamilies[] = {"gemma3_text",        "granite_h",    "llama3_rope", "mistral",      "olmo_hybrid",
                                     "olmo_hybrid_rope",   "qwen2",        "qwen2_bf16",  "qwen2_untied", "qwen3",
                                     "qwen3_5_multimodal", "qwen3_5_text", "smollm2"};

/// Runs all cases; returns how many of them there were.
size_t expect_all_ok(const std::string& folder) {
  const auto cases = verify_engine(folder);
  for (const auto& c : cases) EXPECT_TRUE(c.ok) << c.name << ": " << c.error << " > " << c.tolerance;
  return cases.size();
}

TEST(Verify, Qwen2) { EXPECT_EQ(expect_all_ok("tests/fixtures/qwen2"), 4u + 6u); }

TEST(Verify, JetNemotron) { EXPECT_EQ(expect_all_ok("tests/fixtures/jet"), 4u * 4u + 8u + 12u); }

TEST(Verify, EveryFamily) {
  if (!fs::is_directory(kShared + "/families")) GTEST_SKIP() << "skipped: ../shared/golden is absent";
  for (const char* name : kFamilies) EXPECT_GE(expect_all_ok(kShared + "/families/" + name), 4u);
}

// Reference sets of other lengths than those at hand: the jet fixture's, cut off.
class CutGolden : public FolderTest {
 protected:
  /// Writes the fixture with its 65 tokens cut to `tokens`, and with one number of `wrong` moved.
  void cut(int64_t tokens, const std::string& wrong = "") const {
    const std::string from = "tests/fixtures/jet", to = folder_ + "jet";
    fs::create_directories(to);
    for (const char* name : {"/config.json", "/model.safetensors"}) {
      fs::copy_file(from + name, to + name, fs::copy_options::overwrite_existing);
    }
    const SafeTensors golden = SafeTensors::open(from + "/golden.safetensors");
    std::vector<std::string> parts;
    std::vector<TensorToWrite> list;
    const auto take = [&](const std::string& name, const std::string& as, size_t axis) {
      const StoredTensor& t = golden.at(name);
      Shape shape = t.shape, inner(t.shape.begin() + static_cast<int64_t>(axis) + 1, t.shape.end());
      const size_t row = numel(inner) * size_of(t.dtype), all = row * shape[axis];
      shape[axis] = tokens;
      std::string bytes;
      for (size_t at = 0; at < t.bytes.size(); at += all) {
        bytes.append(reinterpret_cast<const char*>(t.bytes.data()) + at, row * tokens);
      }
      if (as == wrong) bytes[3] ^= 0x40;
      parts.push_back(bytes);
      list.push_back({as, t.dtype, shape, nullptr});
    };
    const std::string suffix = fmt::format(".{}", tokens);
    take("input_ids.65", "input_ids" + suffix, 1), take("logits.65", "logits" + suffix, 1);
    for (const char* name : {"hidden.embed", "hidden.layer.3", "hidden.norm"}) take(name, name, 1);
    for (const char* name : {"cache.1.key", "cache.1.value"}) take(name, name, 2);
    for (size_t i = 0; i < list.size(); ++i) list[i].data = parts[i].data();
    write_safetensors(to + "/golden.safetensors", list);
  }

  std::vector<std::string> failing() const {
    std::vector<std::string> names;
    for (const auto& c : verify_engine(folder_))
      if (!c.ok) names.push_back(c.name);
    return names;
  }
};

TEST_F(CutGolden, AnyLengthIsRead) {
  for (const int64_t tokens : {1, 23, 64}) {
    fs::remove_all(folder_ + "jet");
    cut(tokens);
    EXPECT_EQ(expect_all_ok(folder_), 3u + 3u + 2u) << tokens;
  }
  for (const char* wrong : {"hidden.layer.3", "cache.1.value"}) {
    cut(23, wrong);
    EXPECT_EQ(failing(), std::vector<std::string>{std::string("jet: ") + wrong});
  }
}

TEST_F(CutGolden, ABadFolderEndsNoOther) {
  cut(23);
  fs::copy(folder_ + "jet", folder_ + "cut_off"), fs::copy(folder_ + "jet", folder_ + "unknown");
  file("cut_off/golden.safetensors", "none");
  file("unknown/config.json", "{\"model_type\": \"unheard_of\"}");
  EXPECT_EQ(failing(), (std::vector<std::string>{"cut_off: all", "unknown: all"}));
  EXPECT_EQ(verify_engine(folder_).size(), 8u + 2u);
}

// The same model as transformers 4 and transformers 5 write its config.json.
void expect_same_spec(const std::string& folder) {
  const fs::path copy = fs::temp_directory_path() / ("jet-verify-test-" + std::to_string(getpid()));
  fs::create_directories(copy);
  fs::copy_file(folder + "/config_v5_style.json", copy / "config.json", fs::copy_options::overwrite_existing);
  EXPECT_EQ(spec_to_json(read_spec(folder)).dump(2), spec_to_json(read_spec(copy.string())).dump(2)) << folder;
  fs::remove_all(copy);
}

TEST(Verify, BothStylesOfConfigGiveTheSameModel) {
  expect_same_spec("tests/fixtures/qwen2");
  if (!fs::is_directory(kShared + "/families")) return;
  for (const char* name : kFamilies) expect_same_spec(kShared + "/families/" + name);
}

TEST(Verify, SaysWhatIsMissing) {
  for (const char* folder : {"tests/fixtures/none", "jet/base"}) EXPECT_THROW(verify_engine(folder), Error);
}

// A verifier that cannot fail proves nothing.
TEST(Verify, AWrongWeightShows) {
  const fs::path copy = fs::temp_directory_path() / ("jet-verify-wrong-" + std::to_string(getpid()));
  fs::remove_all(copy);
  fs::copy("tests/fixtures/qwen2", copy);
  std::string bytes = read_file((copy / "model.safetensors").string());
  bytes[bytes.size() - 2] = static_cast<char>(bytes[bytes.size() - 2] ^ 0x40);
  write_file((copy / "model.safetensors").string(), bytes);
  size_t wrong = 0;
  for (const auto& c : verify_engine(copy.string())) wrong += c.ok ? 0 : 1;
  EXPECT_GE(wrong, 3u);
  fs::remove_all(copy);
}

}  // namespace
}  // namespace jet
