// Quantized models in the engine: what `jet quantize` writes loads and says nearly what its source says.
#include "jet/model/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "jet/engine/calibrate.h"
#include "jet/engine/engine.h"
#include "jet/engine/test_models.h"
#include "jet/kernels/kernels.h"
#include "jet/tensor/quant.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

std::vector<float> logits_of(Engine& e, int tokens = 48) {
  auto s = e.create();
  return prefilled(e, *s, test_ids(tokens, 1), Want::all);
}

std::vector<float> folder_logits(const std::string& folder) {
  return logits_of(*Engine::load(folder, {.threads = 2, .kv = DType::f32, .exact = true, .poison = true}));
}

/// sqrt(sum (a - b)^2 / sum b^2).
double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double error = 0, power = 0;
  for (size_t i = 0; i < a.size(); ++i) error += std::pow(double{a[i]} - b[i], 2), power += std::pow(double{b[i]}, 2);
  return std::sqrt(error / power);
}

class Quantize : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string quantized(const std::string& source, DType type) const {
    static int n = 0;
    const std::string target = path(fmt::format("{}-{}", name_of(type), n++));
    quantize_model(source, target, {.type = type, .threads = 2});
    return target;
  }
  /// A copy of `folder` whose tensors have passed through `edit`, in the order of their names.
  std::string edited(const std::string& folder, const std::function<void(std::vector<TensorToWrite>&)>& edit,
                     std::string target = {}) const {
    if (target.empty()) target = folder + "-edited";
    fs::copy(folder, target);
    const auto st = SafeTensors::open(folder);
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, t] : st.all()) tensors.push_back({name, t.dtype, t.shape, t.bytes.data()});
    edit(tensors);
    SafeTensorsWriter file(target + "/model.safetensors", tensors);
    for (const auto& t : tensors) file.write(t.data);
    file.commit();
    return target;
  }
  TemporaryFolder folder_;
};

const std::string kMatrix = "model.layers.0.mlp.up_proj.weight";

// Kernels that multiply bytes in pairs keep the activations beside int8 in 7 bits: their rounding is twice that of 8.
double int8_bound(double of_8_bits) {
  const std::string name = kernels().name;
  return name == "avx2" || name == "avx512" ? 2 * of_8_bits : of_8_bits;
}

TEST_F(Quantize, LogitsStayNear) {
  // Random weights: errors grow from layer to layer, most in JetBlocks. Unrelated logits would differ by 1.4.
  for (const auto& [source, bounds] :
       {std::pair<std::string, std::vector<double>>{"qwen2", {0.02, 0.04, 0.4}}, {"jet", {0.06, 0.2, 0.95}}}) {
    const std::string model = "tests/fixtures/" + source;
    const auto exact = folder_logits(model);
    for (const auto& [type, bound] :
         {std::pair{DType::bf16, bounds[0]}, {DType::q8, int8_bound(bounds[1])}, {DType::q4, bounds[2]}}) {
      const double error = relative_error(folder_logits(quantized(model, type)), exact);
      EXPECT_LT(error, bound) << source << " " << name_of(type);
      EXPECT_GT(error, bound / 100) << source << " " << name_of(type) << " is not what it says";
    }
  }
}

TEST_F(Quantize, EveryFamilyLoads) {
  const auto families = reference_families();
  if (families.empty()) GTEST_SKIP() << "skipped: ../shared/golden/families is not here";
  for (const std::string& source : families) {
    const auto exact = folder_logits(source);
    const auto layers = read_spec(source).layers;  // linear ones carry errors on, as those of LogitsStayNear do
    const double of_8_bits = std::holds_alternative<Attention::Config>(layers.front()) ? 0.05 : 0.1;
    EXPECT_LT(relative_error(folder_logits(quantized(source, DType::q8)), exact), int8_bound(of_8_bits)) << source;
    EXPECT_LT(relative_error(folder_logits(quantized(source, DType::q4)), exact), 0.5) << source;
  }
}

TEST_F(Quantize, ChoosesMatrices) {
  const auto type = [](ParamRole role, int64_t rows, int64_t cols, DType wanted) {
    return stored_type({role, {rows, cols}}, wanted, DType::bf16);
  };
  EXPECT_EQ(type(ParamRole::matrix, 128, 64, DType::q4), DType::q4);
  EXPECT_EQ(type(ParamRole::output, 64, 64, DType::q4), DType::q4);
  EXPECT_EQ(type(ParamRole::matrix, 63, 64, DType::q4), DType::bf16);
  EXPECT_EQ(type(ParamRole::matrix, 64, 48, DType::q8), DType::bf16);
  EXPECT_EQ(type(ParamRole::gate, 64, 64, DType::q8), DType::bf16);
  EXPECT_EQ(type(ParamRole::vocabulary, 512, 64, DType::q4), DType::q8);
  EXPECT_EQ(type(ParamRole::vocabulary, 512, 64, DType::f32), DType::f32);
}

/// What released checkpoints name their parameters, against the roles that the blocks give them: a file quantized by an
/// earlier version must be read as it is.
TEST_F(Quantize, RolesAreThoseOfTheNames) {
  const auto named = [](const std::string& name, std::initializer_list<const char*> parts) {
    return std::any_of(parts.begin(), parts.end(), [&](const char* p) { return name.find(p) != std::string::npos; });
  };
  struct Nothing {};
  size_t seen = 0;
  for (const auto& [model, spec] : test_models()) {
    ModelWeights<Nothing> w;
    model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
      SCOPED_TRACE(model + " " + name);
      EXPECT_EQ(p.is_matrix(), p.shape.size() == 2 && name.ends_with(".weight"));
      if (!p.is_matrix()) return;
      const bool gate = named(name, {".a_proj.", ".b_proj.", ".gk_proj.", "_lora.", ".f_proj.", "_map.", ".gate.weight",
                                     ".window_gate.", ".delta_gate."});
      const bool ends = named(name, {"embed_tokens", "lm_head"});
      const ParamSpec wide{p.role, {128, 128}};
      EXPECT_EQ(stored_type(wide, DType::q4, DType::bf16), gate ? DType::bf16 : ends ? DType::q8 : DType::q4);
      ++seen;
    });
  }
  EXPECT_GT(seen, 100u);
}

TEST_F(Quantize, BytesAreThoseOfTheLayout) {
  const std::string folder = quantized("tests/fixtures/qwen2", DType::q4);
  const Checkpoint c = Checkpoint::open(folder);
  EXPECT_EQ(c.config.at("quantization_config").dump(), R"({"quant_method":"jet","type":"int4","group":32})");
  EXPECT_EQ(c.matrix(kMatrix, {128, 64}).dtype, DType::q4);
  EXPECT_EQ(c.matrix("model.embed_tokens.weight", {512, 64}).dtype, DType::q8);
  EXPECT_EQ(c.matrix("model.layers.0.self_attn.k_proj.weight", {32, 64}).dtype, DType::f32);
  const ParamSpec norm = ParamSpec::norm(64), matrix = ParamSpec::matrix(128, 64);
  EXPECT_EQ(c.floats("model.norm.weight", norm),
            Checkpoint::open("tests/fixtures/qwen2").floats("model.norm.weight", norm));
  EXPECT_NE(message_of([&] { c.floats(kMatrix, matrix); }).find("quantized"), std::string::npos);
  int64_t bytes = 0;
  for (const auto& [name, t] : c.tensors.all()) bytes += static_cast<int64_t>(t.bytes.size());
  EXPECT_EQ(Engine::load(folder)->weight_bytes(), bytes);  // the fixture's other parameters are f32 as in memory
}

TEST_F(Quantize, ShardsAndMisalignedFilesGiveTheSame) {
  const std::string whole = "tests/fixtures/qwen2", shards = path("shards");
  fs::create_directories(shards);
  fs::copy(whole + "/config.json", shards + "/config.json");
  const auto st = SafeTensors::open(whole);
  std::vector<TensorToWrite> parts[2];
  Json index = {{"weight_map", Json::object()}};
  for (const auto& [name, t] : st.all()) {
    auto& part = parts[index["weight_map"].size() % 2];
    index["weight_map"][name] = &part == parts ? "a.safetensors" : "b.safetensors";
    part.push_back({name, t.dtype, t.shape, t.bytes.data()});
  }
  write_safetensors(shards + "/a.safetensors", parts[0]);
  write_safetensors(shards + "/b.safetensors", parts[1]);
  write_file(shards + "/model.safetensors.index.json", index.dump());
  const std::string a = quantized(whole, DType::q4), b = quantized(shards, DType::q4);
  EXPECT_EQ(read_file(a + "/model.safetensors"), read_file(b + "/model.safetensors"));

  const char odd[] = "odd";
  const std::string shifted = edited(a, [&](auto& tensors) {
    tensors.insert(tensors.begin(), {"a", DType::u8, {3}, odd});
  });
  EXPECT_EQ(folder_logits(shifted), folder_logits(a));
}

TEST_F(Quantize, RefusesWhatItCannotDo) {
  const std::string source = "tests/fixtures/qwen2", q8 = quantized(source, DType::q8);
  const auto refusal = [](const std::string& from, const std::string& to, DType type = DType::q4) {
    return message_of([&] { quantize_model(from, to, {.type = type}); });
  };
  EXPECT_NE(refusal(source, source).find("source itself"), std::string::npos);
  EXPECT_NE(refusal(source, q8).find("exists"), std::string::npos);
  EXPECT_NE(refusal(q8, path("again")).find("quantized already"), std::string::npos);
  EXPECT_NE(refusal(source, path("u8"), DType::u8).find("int4"), std::string::npos);
  ModelSpec spec = test_models().front().spec;
  spec.hidden_size = 64, spec.vocab_size = 64;
  write_test_model(path("nan"), spec, "model.embed_tokens.weight");
  EXPECT_NE(refusal(path("nan"), path("out")).find("model.embed_tokens.weight"), std::string::npos);
  write_test_model(path("nan-copied"), spec, "model.norm.weight");
  for (const DType type : {DType::q4, DType::bf16})
    EXPECT_NE(refusal(path("nan-copied"), path("out"), type).find("'model.norm.weight'"), std::string::npos);
  EXPECT_FALSE(file_exists(path("out")) || file_exists(path("again")));
  for (const auto& e : fs::directory_iterator(folder_.path())) {
    EXPECT_EQ(e.path().string().find(".tmp-"), std::string::npos) << e.path();
  }
}

TEST_F(Quantize, DamagedFilesAreTold) {
  const std::string source = quantized("tests/fixtures/qwen2", DType::q4);
  const auto fault = [&](const std::string& name, const std::function<void(TensorToWrite&)>& edit) {
    const std::string folder = edited(source, [&](auto& tensors) {
      for (auto& t : tensors)
        if (t.name == name) edit(t);
    });
    const std::string message = message_of([&] { Engine::load(folder); });
    fs::remove_all(folder);
    EXPECT_NE(message.find("'" + name + "'"), std::string::npos) << message;
    return message;
  };
  const std::string scales = fault(kMatrix + ".scales", [](auto& t) { t.shape[1] = 1; });
  EXPECT_NE(scales.find("[8, 1, 16]"), std::string::npos) << scales;
  EXPECT_NE(scales.find("[8, 2, 16]"), std::string::npos) << scales;
  const std::string numbers = fault(kMatrix, [](auto& t) { t.shape[0] -= 64; });
  EXPECT_NE(numbers.find("4032 bytes"), std::string::npos) << numbers;
  EXPECT_NE(numbers.find("8192 as int8 and 4096 as int4"), std::string::npos) << numbers;
  const std::string gone = fault(kMatrix + ".scales", [](auto& t) { t.name = "other"; });
  EXPECT_NE(gone.find("has no tensor"), std::string::npos) << gone;
  const std::string norm = fault("model.norm.weight", [](auto& t) { t.dtype = DType::u8, t.shape = {64}; });
  EXPECT_NE(norm.find("u8"), std::string::npos) << norm;

  Json config = read_json(source + "/config.json");
  config["quantization_config"]["quant_method"] = "gptq";
  write_file(source + "/config.json", config.dump());
  EXPECT_NE(message_of([&] { Engine::load(source); }).find("'gptq'"), std::string::npos);
}

TEST_F(Quantize, RandomWeights) {
  const ModelSpec spec = read_spec("tests/fixtures/jet");
  const auto run = [&](DType type, int threads) {
    return logits_of(*Engine::random(spec, 1, type, {.threads = threads, .poison = true}));
  };
  const auto bytes = [&](DType type) { return Engine::random(spec, 1, type)->weight_bytes(); };
  for (const DType type : {DType::q8, DType::q4}) {
    const auto logits = run(type, 1);
    EXPECT_EQ(logits, run(type, 2));
    double power = 0;
    for (const float x : logits) power += double{x} * x;
    // The same spread as other random weights, whose logits have rows of norm about 0.02 * sqrt(hidden) each.
    EXPECT_GT(power / static_cast<double>(logits.size()), 1e-3) << name_of(type);
    EXPECT_LT(power / static_cast<double>(logits.size()), 1e2) << name_of(type);
  }
  EXPECT_LT(bytes(DType::q4), bytes(DType::q8));
  EXPECT_LT(bytes(DType::q8), bytes(DType::bf16));
  struct Nothing {};
  ModelWeights<Nothing> w;
  int64_t kept = 0;  // numbers of the matrices that stay as they are: f32 in the fixture, bf16 in random weights
  model_params(spec, w, [&](const std::string&, Nothing&, const ParamSpec& p) {
    if (p.is_matrix() && stored_type(p, DType::q4, DType::f32) == DType::f32) { kept += numel(p.shape); }
  });
  EXPECT_GT(kept, 0);
  EXPECT_EQ(bytes(DType::q4) + 2 * kept, Engine::load(quantized("tests/fixtures/jet", DType::q4))->weight_bytes());
}

CalibrateOptions rows_of_ids(const ModelSpec& spec, int tokens = 1024) {
  std::vector<int32_t> ids = test_ids(tokens, 7);
  for (int32_t& id : ids) id %= spec.vocab_size;
  return calibration_rows(ids, std::min(64, spec.max_position_embeddings), tokens);
}

QuantizeReport calibrate(const std::string& source, const std::string& target, DType type, double bits = 0,
                         int threads = 2) {
  CalibrateOptions o = rows_of_ids(read_spec(source));
  o.bits = bits;
  return quantize_calibrated(source, target, {.type = type, .threads = threads}, o);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

TEST_F(Quantize, CalibratedIsNearer) {
  // Random weights: the errors of jet's layers grow past what one layer's rounding can mend.
  for (const auto& [name, part] : {std::pair<std::string, double>{"qwen2", 0.9}, {"jet", 1.0}}) {
    const std::string source = "tests/fixtures/" + name, target = path(name);
    calibrate(source, target, DType::q4);
    const auto exact = folder_logits(source);
    EXPECT_LT(relative_error(folder_logits(target), exact),
              part * relative_error(folder_logits(quantized(source, DType::q4)), exact))
        << name;
  }
}

TEST_F(Quantize, CalibratedFamiliesLoad) {
  if (kSanitized) GTEST_SKIP() << "skipped: minutes under sanitizers; CalibratedIsNearer runs the same code there";
  const auto families = reference_families();
  if (families.empty()) GTEST_SKIP() << "skipped: ../shared/golden/families is not here";
  int n = 0;
  for (const std::string& source : families) {
    const std::string target = path(fmt::format("family-{}", n++));
    calibrate(source, target, DType::q4);
    EXPECT_LT(relative_error(folder_logits(target), folder_logits(source)), 0.5) << source;
  }
}

/// Every block: all matrices are reached, and threads change nothing.
TEST_F(Quantize, CalibratesEveryBlock) {
  if (kSanitized) GTEST_SKIP() << "skipped: minutes under sanitizers; CalibratedIsNearer runs the same code there";
  for (auto [name, spec] : test_models()) {
    SCOPED_TRACE(name);
    spec.hidden_size = spec.vocab_size = spec.intermediate_size = 64;
    write_test_model(path(name), spec);
    const auto report = calibrate(path(name), path(name + "-q4"), DType::q4);
    EXPECT_EQ(report.remarks, std::vector<std::string>{});
    EXPECT_GE(report.converted, 2);
    calibrate(path(name), path(name + "-one"), DType::q4, 0, 1);
    EXPECT_EQ(read_file(path(name + "-q4/model.safetensors")), read_file(path(name + "-one/model.safetensors")));
    EXPECT_EQ(Checkpoint::open(path(name + "-q4")).spec.n_layers(), spec.n_layers());
  }
}

TEST_F(Quantize, BudgetIsKept) {
  const std::string source = "tests/fixtures/qwen2";
  const double most = calibrate(source, path("most"), DType::q4, 16, 1).bits;  // every matrix in int8
  const Checkpoint c = Checkpoint::open(source);
  const auto parameters = static_cast<double>(parameter_count(c.spec));
  const double largest = 4.0 * c.spec.vocab_size * c.spec.hidden_size / parameters;  // what the embedding takes more
  for (const double part : {0.75, 0.85, 0.95}) {
    const std::string target = path(fmt::format("bits-{}", part));
    const auto report = calibrate(source, target, DType::q4, part * most, 1);
    int64_t bytes = 0;
    const Checkpoint made = Checkpoint::open(target);
    for (const auto& [name, t] : made.tensors.all()) bytes += static_cast<int64_t>(t.bytes.size());
    EXPECT_EQ(bytes, report.bytes);
    EXPECT_NEAR(report.bits, 8.0 * static_cast<double>(bytes) / parameters, 1e-9);
    EXPECT_LE(report.bits, part * most);
    EXPECT_GT(report.bits, part * most - largest) << "an int8 matrix more would have fitted";
  }
  EXPECT_NE(message_of([&] { calibrate(source, path("few"), DType::q4, 1); }).find("--bits 1"), std::string::npos);
}

TEST_F(Quantize, WhatScalesDoNotHoldIsKept) {
  const auto with = [&](float factor, float one) {
    const std::string target = edited(
        "tests/fixtures/qwen2",
        [&](auto& tensors) {
          static std::vector<float> values;
          for (auto& t : tensors) {
            if (t.name != kMatrix) continue;
            const auto* from = static_cast<const float*>(t.data);
            values.assign(from, from + numel(t.shape));
            for (float& v : values) v *= factor;
            if (one != 0) values[3 * 64 + 5] = one;
            t.data = values.data();
          }
        },
        path(fmt::format("{}-{}", factor, one)));
    return target;
  };
  const auto type_of = [&](const std::string& source, DType type) {
    const std::string target = source + "-" + name_of(type);
    const QuantizeReport r = quantize_model(source, target, {.type = type, .threads = 2});
    const DType stored = Checkpoint::open(target).matrix(kMatrix, {128, 64}).dtype;
    EXPECT_EQ(r.remarks.size(), stored == type ? 0u : 1u);
    if (stored != type) { EXPECT_NE(r.remarks.at(0).find("'" + kMatrix + "'"), std::string::npos); }
    return stored;
  };
  EXPECT_EQ(type_of(with(1, 1e6f), DType::q8), DType::q8);
  EXPECT_EQ(type_of(with(1, 1e6f + 1), DType::q4), DType::f32);
  EXPECT_EQ(type_of(with(1, 5e5f), DType::q4), DType::q4);
  EXPECT_EQ(type_of(with(1, -1e7f), DType::q8), DType::f32);
  const std::string huge = with(1, 1e20f), tiny = with(1e-9f, 0);
  for (const DType type : {DType::q8, DType::q4}) {
    EXPECT_EQ(type_of(huge, type), DType::f32);
    EXPECT_EQ(type_of(tiny, type), DType::f32);
  }
}

}  // namespace
}  // namespace jet
