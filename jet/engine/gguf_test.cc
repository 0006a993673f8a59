// Imported GGUF files, run: logits of transformers on the weights that gguf-py decodes, and of broken files one line.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/engine/engine.h"
#include "jet/model/checkpoint.h"
#include "jet/model/gguf_import.h"
#include "jet/tensor/quant.h"

namespace jet {
namespace {

namespace fs = std::filesystem;
const std::string kGolden = "../shared/golden/gguf/";

class GgufImport : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "jet_" + testing::UnitTest::GetInstance()->current_test_info()->name() + "/";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    if (!fs::is_directory(kGolden)) GTEST_SKIP() << "skipped: " << kGolden << " is absent";
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// The folder of the file, imported.
  std::string import(const std::string& file, std::optional<DType> type, GgufImportReport* report = nullptr) const {
    const std::string target = folder_ + "model";
    fs::remove_all(target);
    const auto r = import_gguf(file, target, {.type = type, .threads = 2});
    if (report) *report = r;
    return target;
  }
  static std::vector<float> logits(const std::string& model, const StoredTensor& ids) {
    const auto engine = Engine::load(model, {.threads = 2, .kv = DType::f32, .exact = true});
    std::vector<int32_t> list;
    for (const int64_t id : to_ints(ids)) list.push_back(static_cast<int32_t>(id));
    const auto sequence = engine->create();
    const auto rows = engine->prefill(*sequence, list, Want::all);
    return {rows.begin(), rows.end()};
  }
  static double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    double most = 0;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      const double d = std::abs(static_cast<double>(a[i]) - b[i]);
      most = std::isnan(d) ? INFINITY : std::max(most, d);
    }
    return most;
  }
  /// Root mean square of a - b over the standard deviation of b.
  static double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    double squares = 0, sum = 0, sum_squares = 0;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      squares += std::pow(static_cast<double>(a[i]) - b[i], 2);
      sum += b[i], sum_squares += std::pow(b[i], 2.0);
    }
    const auto n = static_cast<double>(b.size());
    return std::sqrt(squares / n) / std::sqrt(sum_squares / n - std::pow(sum / n, 2));
  }
  static std::vector<std::string> files(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(kGolden + folder)) {
      if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string folder_;
};

TEST_F(GgufImport, ModelsGiveTheirLogits) {
  const auto names = files("models");
  EXPECT_EQ(names.size(), 33u);
  for (const auto& name : names) {
    const std::string file = kGolden + "models/" + name + ".gguf";
    const SafeTensors golden = SafeTensors::open(kGolden + "models/" + name + ".golden.safetensors");
    const StoredTensor& ids = golden.at("input_ids");
    const auto want = to_floats(golden.at("hf_logits"));
    EXPECT_LE(largest_difference(logits(import(file, DType::f32), ids), want), 1e-4) << name;
    GgufImportReport report;
    const auto as_is = logits(import(file, {}, &report), ids);
    const bool plain =
        report.types.find("rounded") == std::string::npos && report.types.find("int") == std::string::npos;
    if (plain) {
      EXPECT_LE(largest_difference(as_is, want), 1e-4) << name << ": " << report.types;
    } else {  // activations of 7 or 8 bits, weights of bf16
      EXPECT_LE(relative_error(as_is, want), 0.06) << name << ": " << report.types;
    }
  }
}

// What int8 and int4 hold is what ggml decodes, number by number.
TEST_F(GgufImport, BlocksAreHeldWithoutLoss) {
  for (const char* name : {"llama3_rope.Q4_0", "llama3_rope.Q5_0", "llama3_rope.Q8_0", "llama3_rope.IQ4_NL"}) {
    const std::string file = kGolden + "models/" + name + ".gguf";
    const std::string exact = folder_ + "exact", packed = import(file, {});
    fs::remove_all(exact);
    import_gguf(file, exact, {.type = DType::f32});
    const Checkpoint a = Checkpoint::open(exact), b = Checkpoint::open(packed);
    int matrices = 0;
    struct Nothing {};
    ModelWeights<Nothing> w;
    model_params(a.spec, w, [&](const std::string& tensor, Nothing&, const ParamSpec& p) {
      if (!p.is_matrix()) return;
      const StoredMatrix m = b.matrix(tensor, p.shape);
      ASSERT_TRUE(is_quantized(m.dtype)) << name << " " << tensor;
      const auto values = to_floats(a.tensors.at(tensor));
      std::vector<float> row(p.shape[1]);
      for (int64_t r = 0; r < p.shape[0]; ++r) {
        dequantize_row(m.dtype, m.data.data(), m.scales.data(), p.shape[1], r, row.data());
        ASSERT_TRUE(std::equal(row.begin(), row.end(), &values[r * p.shape[1]])) << name << " " << tensor << " " << r;
      }
      ++matrices;
    });
    EXPECT_EQ(matrices, 22) << name;
  }
}

struct BrokenCase {
  std::string file, verdict, what;
};
std::vector<BrokenCase> broken_cases() {
  std::vector<BrokenCase> cases;
  std::ifstream in(kGolden + "broken/cases.tsv");
  std::string line, bytes;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream columns(line);
    BrokenCase c;
    std::getline(columns, c.file, '\t'), std::getline(columns, bytes, '\t');
    std::getline(columns, c.verdict, '\t'), std::getline(columns, c.what, '\t');
    cases.push_back(c);
  }
  return cases;
}

TEST_F(GgufImport, BrokenFilesEndInOneLine) {
  const SafeTensors golden = SafeTensors::open(kGolden + "broken/ok_base.golden.safetensors");
  const auto want = to_floats(golden.at("hf_logits"));
  std::map<std::string, int> count;
  for (const auto& c : broken_cases()) {
    ++count[c.verdict];
    std::string error;
    try {
      const auto got = logits(import(kGolden + "broken/" + c.file, DType::f32), golden.at("input_ids"));
      if (c.verdict == "either") continue;
      EXPECT_LE(largest_difference(got, want), 1e-4) << c.file << ": " << c.what;
    } catch (const Error& e) { error = e.what(); }
    EXPECT_NE(c.verdict, error.empty() ? "refuse" : "accept") << c.file << ": " << c.what << ": " << error;
    if (error.empty()) continue;
    std::cout << error << "\n";
    EXPECT_NE(error.find(c.file), std::string::npos) << error;
    EXPECT_FALSE(fs::exists(folder_ + "model")) << c.file;
  }
  EXPECT_EQ(count, (std::map<std::string, int>{{"accept", 15}, {"either", 19}, {"refuse", 104}}));
  EXPECT_TRUE(fs::is_empty(folder_) || std::distance(fs::directory_iterator(folder_), {}) == 1);
}

}  // namespace
}  // namespace jet
