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
#include "jet/kernels/kernels.h"
#include "jet/model/checkpoint.h"
#include "jet/model/gguf_import.h"
#include "jet/tensor/quant.h"

namespace jet {
namespace {

namespace fs = std::filesystem;
const std::string kGgufGolden = "../shared/golden/gguf/";

class GgufImport : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "jet_" + testing::UnitTest::GetInstance()->current_test_info()->name() + "/";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    if (!fs::is_directory(kGgufGolden)) GTEST_SKIP() << "skipped: " << kGgufGolden << " is absent";
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
    for (const auto& entry : fs::directory_iterator(kGgufGolden + folder)) {
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
  // Weights in blocks meet activations of 8 bits, of 7 where no instruction multiplies bytes of either sign.
  const std::string isa = kernels().name;
  const double rounded = isa == "avx2" || isa == "avx512" ? 0.07 : 0.035;
  for (const auto& name : names) {
    const std::string file = kGgufGolden + "models/" + name + ".gguf";
    const SafeTensors golden = SafeTensors::open(kGgufGolden + "models/" + name + ".golden.safetensors");
    const StoredTensor& ids = golden.at("input_ids");
    const auto want = to_floats(golden.at("hf_logits"));
    EXPECT_LE(largest_difference(logits(import(file, DType::f32), ids), want), 1e-4) << name;
    GgufImportReport report;
    const auto as_is = logits(import(file, {}, &report), ids);
    const bool plain =
        report.types.find("rounded") == std::string::npos && report.types.find("int") == std::string::npos;
    if (plain) {
      EXPECT_LE(largest_difference(as_is, want), 1e-4) << name << ": " << report.types;
    } else {
      EXPECT_LE(relative_error(as_is, want), rounded) << name << ": " << report.types;
    }
  }
}

// What int8 and int4 hold is what ggml decodes, number by number.
TEST_F(GgufImport, BlocksAreHeldWithoutLoss) {
  for (const char* name : {"llama3_rope.Q4_0", "llama3_rope.Q5_0", "llama3_rope.Q8_0", "llama3_rope.IQ4_NL"}) {
    const std::string file = kGgufGolden + "models/" + name + ".gguf";
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
  std::ifstream in(kGgufGolden + "broken/cases.tsv");
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
  const SafeTensors golden = SafeTensors::open(kGgufGolden + "broken/ok_base.golden.safetensors");
  const auto want = to_floats(golden.at("hf_logits"));
  std::map<std::string, int> count;
  for (const auto& c : broken_cases()) {
    ++count[c.verdict];
    std::string error;
    try {
      const auto got = logits(import(kGgufGolden + "broken/" + c.file, DType::f32), golden.at("input_ids"));
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

// The two public models, where tools/fetch_model.sh brought them (as bf16).
class RealModel : public testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "skipped: hours under sanitizers, and the same code as small models run";
#endif
    if (!fs::exists(model())) GTEST_SKIP() << "skipped: " << model() << " is absent; tools/fetch_model.sh";
    if (!fs::exists(golden(".logits.safetensors"))) GTEST_SKIP() << "skipped: " << golden("") << " is absent";
    engine_ = Engine::load(model(), {.threads = 2, .kv = DType::f32, .exact = true});
  }
  static std::string model() { return std::string("models/") + GetParam().first; }
  static std::string golden(const std::string& end) {
    return "../shared/golden/real/" + std::string(GetParam().second) + end;
  }
  static std::vector<int32_t> ids_of(const StoredTensor& t) {
    const auto wide = to_ints(t);
    return {wide.begin(), wide.end()};
  }
  std::shared_ptr<Engine> engine_;
};

TEST_P(RealModel, LogitsAndGreedyTextAreTransformers) {
  const SafeTensors file = SafeTensors::open(golden(".logits.safetensors"));
  for (int prompt = 0; prompt < 8; ++prompt) {
    const auto of = [&](const std::string& name) -> const StoredTensor& {
      return file.at(name + "." + std::to_string(prompt));
    };
    const auto ids = ids_of(of("input_ids")), positions = ids_of(of("positions"));
    const auto top = ids_of(of("bf16.top_ids")), greedy = ids_of(of("bf16.greedy_ids"));
    const auto values = to_floats(of("bf16.top_values"));
    const auto sequence = engine_->create();
    const size_t shown = top.size() / positions.size();
    std::span<const float> logits;
    double worst = 0;
    for (size_t i = 0, read = 0; i < positions.size(); ++i) {  // at each position, which are in order
      const size_t end = positions[i] + 1;
      logits = engine_->prefill(*sequence, std::span(ids).subspan(read, end - read));
      read = end;
      for (size_t k = i * shown; k < (i + 1) * shown; ++k) {
        worst = std::max(worst, std::abs(static_cast<double>(logits[top[k]]) - values[k]));
      }
    }
    ASSERT_EQ(sequence->length(), static_cast<int64_t>(ids.size()));
    EXPECT_LE(worst, 2e-4) << "prompt " << prompt;
    std::vector<int32_t> made;
    while (made.size() < greedy.size()) {
      made.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      logits = engine_->prefill(*sequence, std::span(made).last(1));
    }
    EXPECT_EQ(made, greedy) << "prompt " << prompt;
  }
}

TEST_P(RealModel, LossIsTransformers) {
  if (!fs::exists(golden(".loss.json"))) GTEST_SKIP() << "skipped: no loss of it is known";
  const Json j = read_json(golden(".loss.json"));
  const double want = j["files"]["BF16"]["hf_fp32_rows"][0];
  const auto ids = ids_of(SafeTensors::open(golden(".wikitext2_ids.safetensors")).at("input_ids"));
  const size_t row = 1024, vocab = engine_->spec().vocab_size;
  const auto sequence = engine_->create();
  const auto logits = engine_->prefill(*sequence, std::span(ids).first(row), Want::all);
  double loss = 0;
  for (size_t i = 0; i + 1 < row; ++i) {
    const auto at = logits.subspan(i * vocab, vocab);
    const double most = *std::max_element(at.begin(), at.end());
    double sum = 0;
    for (const float x : at) sum += std::exp(x - most);
    loss += most + std::log(sum) - at[ids[i + 1]];
  }
  EXPECT_NEAR(loss / static_cast<double>(row - 1), want, 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Public, RealModel,
                         testing::Values(std::pair("smollm2-135m", "smollm2"), std::pair("gemma3-270m", "gemma3")));

}  // namespace
}  // namespace jet
