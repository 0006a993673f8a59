#include "jet/eval/verify.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "jet/base/file.h"
#include "jet/engine/engine.h"
#include "jet/model/checkpoint.h"

namespace jet {
namespace {

namespace fs = std::filesystem;
const std::string kShared = "../shared/golden";

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
  EXPECT_GE(expect_all_ok(kShared + "/families"), 8u * 4u);
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
  for (const auto& entry : fs::directory_iterator(kShared + "/families")) expect_same_spec(entry.path().string());
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
