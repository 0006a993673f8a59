#include "jet/storage/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "jet/base/error.h"
#include "jet/storage/safetensors.h"

namespace jet {
namespace {

namespace fs = std::filesystem;
const std::string kGgufGolden = "../shared/golden/gguf/";

std::string gguf_error(const std::string& path) {
  try {
    Gguf::open(path);
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

// Every type's blocks, those of random and of extreme bytes too, to the values of ggml's own decoder.
TEST(Gguf, TypesAreDecodedToTheBit) {
  if (!fs::is_directory(kGgufGolden)) GTEST_SKIP() << "skipped: " << kGgufGolden << " is absent";
  int types = 0, refused = 0;
  for (const auto& entry : fs::directory_iterator(kGgufGolden + "types")) {
    if (entry.path().extension() != ".gguf") continue;
    const std::string path = entry.path(), type = entry.path().stem();
    if (ggml_types_known().find(type) == std::string::npos) {
      EXPECT_NE(gguf_error(path).find("of type " + type + ","), std::string::npos) << gguf_error(path);
      ++refused;
      continue;
    }
    const Gguf file = Gguf::open(path);
    const SafeTensors golden = SafeTensors::open(kGgufGolden + "types/" + type + ".values.safetensors");
    EXPECT_GE(file.tensors().size(), 1u);
    for (const auto& [name, t] : file.tensors()) {
      EXPECT_EQ(t.type->name, type);
      const StoredTensor& want = golden.at(name);
      std::vector<float> values(numel(t.shape));
      ASSERT_EQ(values.size() * sizeof(float), want.bytes.size()) << path << " " << name;
      ggml_decode(*t.type, t.bytes.data(), numel(t.shape) / t.type->columns, values.data());
      EXPECT_EQ(std::memcmp(values.data(), want.bytes.data(), want.bytes.size()), 0) << path << " " << name;
    }
    ++types;
  }
  EXPECT_EQ(types, 15);
  EXPECT_EQ(refused, 8);
}

/// A GGUF file made up byte by byte.
struct Made {
  std::string bytes;
  Made& raw(const auto& x) {
    bytes.append(reinterpret_cast<const char*>(&x), sizeof(x));
    return *this;
  }
  Made& text(std::string_view s) {
    raw(static_cast<uint64_t>(s.size()));
    bytes += s;
    return *this;
  }
  /// A u32.
  Made& key(std::string_view name, uint32_t value) { return text(name).raw(uint32_t{4}).raw(value); }
  Made& begin(uint64_t tensors, uint64_t keys) {
    bytes += "GGUF";
    return raw(uint32_t{3}).raw(tensors).raw(keys);
  }
  /// F32 [rows, 2].
  Made& tensor(std::string_view name, uint64_t rows, uint64_t offset) {
    return text(name).raw(uint32_t{2}).raw(uint64_t{2}).raw(rows).raw(uint32_t{0}).raw(offset);
  }
  Made& pad() {
    bytes.resize((bytes.size() + 31) / 32 * 32);
    return *this;
  }
  std::string write(const std::string& path) const {
    write_file(path, bytes);
    return path;
  }
};

class GgufFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "jet_gguf_" + testing::UnitTest::GetInstance()->current_test_info()->name() + "/";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  Made part(uint32_t number, std::string_view tensor, float value) const {
    Made m;
    m.begin(1, number == 0 ? 4 : 2).key("split.no", number).key("split.count", 2);
    if (number == 0) m.key("split.tensors.count", 2).key("general.answer", 42);
    return m.tensor(tensor, 1, 0).pad().raw(value).raw(value);
  }
  std::string folder_;
};

TEST_F(GgufFile, PartsAreOneModel) {
  const std::string first = part(0, "a", 1).write(folder_ + "m-00001-of-00002.gguf");
  const std::string second = part(1, "b", 2).write(folder_ + "m-00002-of-00002.gguf");
  const Gguf g = Gguf::open(first);
  EXPECT_EQ(g.paths(), (std::vector<std::string>{first, second}));
  EXPECT_EQ(g.whole("general.answer"), 42);
  float value = 0;
  std::memcpy(&value, g.tensors().at("b").bytes.data(), sizeof(value));
  EXPECT_EQ(value, 2);
  EXPECT_NE(gguf_error(second).find("name the first"), std::string::npos) << gguf_error(second);
  fs::rename(second, folder_ + "other.gguf");
  EXPECT_NE(gguf_error(first).find("m-00002-of-00002.gguf, is missing"), std::string::npos) << gguf_error(first);
  fs::rename(first, folder_ + "m.gguf");
  EXPECT_NE(gguf_error(folder_ + "m.gguf").find("-00001-of-00002.gguf"), std::string::npos);
}

TEST_F(GgufFile, ValuesKeepTheirTypes) {
  Made m;
  m.begin(1, 3).key("a", 7).text("b").raw(uint32_t{10}).raw(UINT64_MAX);
  m.text("c").raw(uint32_t{9}).raw(uint32_t{8}).raw(uint64_t{2}).text("x").text("");
  const Gguf g = Gguf::open(m.tensor("t", 3, 0).pad().raw(std::array<float, 6>{}).write(folder_ + "m.gguf"));
  EXPECT_EQ(g.tensors().at("t").shape, (Shape{3, 2}));
  EXPECT_EQ(g.whole("a"), 7);
  EXPECT_EQ(g.number("a"), 7);
  EXPECT_EQ(g.whole("nothing"), std::nullopt);
  EXPECT_EQ(g.texts("c"), (std::vector<std::string_view>{"x", ""}));
  EXPECT_TRUE(g.is_array("c"));
  EXPECT_THROW(g.whole("b"), Error);
  EXPECT_THROW(g.whole("c"), Error);
  EXPECT_THROW(g.text("a"), Error);
  EXPECT_THROW(g.boolean("a"), Error);
  EXPECT_THROW(g.texts("a"), Error);
  EXPECT_THROW(g.numbers("c"), Error);
}

TEST_F(GgufFile, IsTruncatedAnywhere) {
  const std::string whole = part(1, "b", 2).bytes, path = folder_ + "m.gguf";
  for (size_t n = 0; n < whole.size(); ++n) {
    Made{whole.substr(0, n)}.write(path);
    EXPECT_NE(gguf_error(path).find(path), std::string::npos) << n << ": " << gguf_error(path);
    EXPECT_EQ(gguf_error(path).find("name the first"), std::string::npos) << n;
  }
}

}  // namespace
}  // namespace jet
