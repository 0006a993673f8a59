// A run goes on only with what it was started with: bases, texts and tasks that differ in a byte have another identity.
#include "jet/search/identity.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/file.h"
#include "jet/search/ledger.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

struct IdentityTest : testing::Test {
  IdentityTest() {
    fs::remove_all(folder);
    for (const char* file : {"kv.jsonl", "arc.jsonl", "arc.task.json"}) write_file(folder + "/tasks/" + file, "{}");
    write_file(folder + "/text.txt", "a text");
    write_file(folder + "/base/config.json", "{}");
    write_file(folder + "/base/tokenizer.json", "{}");
    for (const char* name : {"a", "b"}) {
      const float number = 1;
      write_safetensors(folder + "/base/" + name + ".safetensors", {{name, DType::f32, {1}, &number}});
    }
    write_file(folder + "/base/model.safetensors.index.json",
               R"({"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}})");
    source(folder + "/text.txt");
    recipe.eval.tasks = folder + "/tasks";
  }
  ~IdentityTest() override { fs::remove_all(folder); }

  void source(const std::string& path) {
    recipe.data.assign(1, {});
    recipe.data[0].name = "t", recipe.data[0].path = path;
  }
  Json identity(const std::string& student = "") const {
    return run_identity(recipe, folder + "/base", {{"base", folder + "/base"}, {"student", student}});
  }
  std::string folder = testing::TempDir() + "jet_identity_test";
  Recipe recipe;
};

TEST_F(IdentityTest, EveryInputCounts) {
  const Json first = identity();
  EXPECT_EQ(identity(), first);
  {
    Ledger(folder + "/run", first).once("a", [] { return 1; });
  }
  const float two = 2;
  write_safetensors(folder + "/base/b.safetensors", {{"b", DType::f32, {1}, &two}});
  EXPECT_NE(identity()["base"], first["base"]);
  try {
    Ledger(folder + "/run", identity());
    ADD_FAILURE() << "went on with another base";
  } catch (const Error& e) { EXPECT_NE(std::string(e.what()).find("another base"), std::string::npos) << e.what(); }

  const std::pair<const char*, const char*> files[] = {{"/base/config.json", "base"},
                                                       {"/base/tokenizer.json", "tokenizer"},
                                                       {"/text.txt", "text "},
                                                       {"/tasks/kv.jsonl", "tasks "},
                                                       {"/tasks/arc.jsonl", "tasks "}};
  for (const auto& [file, key] : files) {
    const Json before = identity();
    write_file(folder + file, "[]");
    const Json after = identity();
    int changed = 0;
    for (const auto& [k, value] : before.items()) {
      if (after.at(k) == value) continue;
      EXPECT_TRUE(k.starts_with(key)) << k;
      ++changed;
    }
    EXPECT_EQ(changed, 1) << file;
  }
  const Json before = identity();
  write_file(folder + "/tasks/arc.task.json", R"({"delimiter": " "})");
  EXPECT_NE(identity(), before);
}

TEST_F(IdentityTest, AStudentCountsAndAFolderOfTokensByItsManifest) {
  EXPECT_NE(identity(folder + "/base"), identity());
  fs::create_directories(folder + "/tokens");
  write_file(folder + "/tokens/manifest.json", "{}");
  source(folder + "/tokens");
  const Json before = identity();
  write_file(folder + "/tokens/manifest.json", "[]");
  EXPECT_NE(identity(), before);
}

}  // namespace
}  // namespace jet
