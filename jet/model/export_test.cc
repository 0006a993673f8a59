// Exports: what comes in in the official layout goes out the same, what the layout cannot express is told by layer.
#include "jet/model/export.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "jet/base/rng.h"
#include "jet/model/families/families.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

const std::string kFixture = "tests/fixtures/jet";

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

/// Key by key, in any order.
SortedJson sorted(const std::string& path) { return parse_sorted_json(read_file(path), path); }

void expect_same_tensors(const std::string& a, const std::string& b) {
  const SafeTensors x = SafeTensors::open(a), y = SafeTensors::open(b);
  ASSERT_EQ(x.all().size(), y.all().size());
  EXPECT_EQ(x.metadata(), y.metadata());
  for (const auto& [name, t] : x.all()) {
    const StoredTensor& u = y.at(name);
    EXPECT_EQ(t.dtype, u.dtype) << name;
    EXPECT_EQ(t.shape, u.shape) << name;
    EXPECT_TRUE(std::ranges::equal(t.bytes, u.bytes)) << name;
  }
}

class Export : public testing::Test {
 protected:
  Export() { fs::create_directories(root_); }
  ~Export() override { fs::remove_all(root_); }
  std::string path(const std::string& name) const { return root_ + "/" + name; }
  std::string exported(const std::string& source, const ExportOptions& options) const {
    static int n = 0;
    const std::string target = path(fmt::format("{}-{}", options.format, n++));
    export_model(source, target, options);
    return target;
  }
  /// A folder in our own layout, or another that `config` is in, with random numbers for every parameter.
  std::string model(const Json& config, DType dtype = DType::f32) const {
    static int n = 0;
    const std::string folder = path(fmt::format("model-{}", n++));
    const ModelSpec spec = read_spec(config, folder);
    struct Nothing {};
    ModelWeights<Nothing> w;
    std::vector<std::vector<std::byte>> values;
    std::vector<TensorToWrite> tensors;
    model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
      Rng rng(7, name);
      auto& v = values.emplace_back(numel(p.shape) * size_of(dtype));
      for (int64_t i = 0; i < numel(p.shape); ++i) {
        const auto x = static_cast<float>(rng.normal());
        const bf16 narrow = to_bf16(x);
        std::memcpy(&v[i * size_of(dtype)], dtype == DType::f32 ? static_cast<const void*>(&x) : &narrow,
                    size_of(dtype));
      }
      tensors.push_back({name, dtype, p.shape, v.data()});
    });
    write_safetensors(folder + "/model.safetensors", tensors, {{"format", "pt"}});
    write_file(folder + "/config.json", config.dump(2) + "\n");
    return folder;
  }
  std::string model(const ModelSpec& spec, DType dtype = DType::f32) const {
    return model(write_jet_cpp(spec, ""), dtype);
  }

 private:
  std::string root_ = (fs::temp_directory_path() / fmt::format("jet-export-{}", getpid())).string();
};

Attention::Config attention(int window = 0) {
  return {.heads = 4, .kv_heads = 2, .head_dim = 10, .window = window, .qkv_bias = true, .rope = {.theta = 500}};
}
JetBlock::Config jet_block() { return {.heads = 3, .dk = 6, .dv = 10, .conv = 4, .generator = 3}; }

ModelSpec spec_of(std::vector<MixerSpec> layers) {
  ModelSpec s;
  s.vocab_size = 61, s.hidden_size = 40, s.intermediate_size = 28, s.max_position_embeddings = 96;
  s.eos_token_id = {5}, s.bos_token_id = 4;
  s.layers = std::move(layers);
  return s;
}

ModelSpec hybrid() { return spec_of({jet_block(), attention(), attention(8), jet_block()}); }

TEST_F(Export, TheOfficialFilesComeBack) {
  for (const auto& source : {kFixture, std::string("../shared/golden/jet")}) {
    if (!fs::is_directory(source)) {
      std::cout << "skipped: " << source << " is not here\n";
      continue;
    }
    const std::string kept = exported(source, {.format = "jet-nemotron"});
    const std::string own = exported(source, {.format = "hf"});
    const std::string made = exported(own, {.format = "jet-nemotron"});
    for (const auto& target : {kept, made}) {
      EXPECT_EQ(sorted(target + "/config.json"), sorted(source + "/config.json"));
      EXPECT_EQ(read_file(target + "/generation_config.json"), read_file(source + "/generation_config.json"));
      expect_same_tensors(target, source);
    }
    EXPECT_EQ(read_file(kept + "/config.json"), read_file(source + "/config.json"));
    EXPECT_EQ(sorted(own + "/config.json")["model_type"], "jet_cpp");
    EXPECT_FALSE(file_exists(own + "/golden.safetensors"));
  }
}

TEST_F(Export, ReleasedConfigsAreMadeFromTheirSpecs) {
  for (const char* file : {"models/shapes/jet-2b.json", "models/shapes/jet-4b.json"}) {
    const Json released = read_json(file);
    Json made = write_jet_nemotron(read_spec(released, file), "here");
    made["torch_dtype"] = "bfloat16";  // of the tensors, not of the spec
    EXPECT_EQ(SortedJson(made), SortedJson(released)) << file;
  }
}

TEST_F(Export, BackAndForthGivesTheSameBytes) {
  ModelSpec untied = hybrid();
  untied.tie_word_embeddings = false, untied.eos_token_id = {5, 7}, untied.bos_token_id = -1;
  ModelSpec wide = spec_of({attention(), attention()});
  for (auto& layer : wide.layers) {
    auto& a = std::get<Attention::Config>(layer);
    a.head_dim = 14;
    a.rope = {.theta = 1e4, .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 64};
  }
  for (const ModelSpec& spec : {hybrid(), untied, wide, spec_of({jet_block()})}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const std::string own = model(spec, dtype), official = exported(own, {.format = "jet-nemotron"});
      const std::string back = exported(official, {.format = "hf"});
      EXPECT_EQ(read_file(back + "/config.json"), read_file(own + "/config.json"));
      expect_same_tensors(back, own);
      EXPECT_EQ(sorted(official + "/config.json")["torch_dtype"], dtype == DType::f32 ? "float32" : "bfloat16");
    }
  }
}

TEST_F(Export, EveryBlockSizeThatTheLayoutHasIsRead) {
  for (int dk = 1; dk <= 192; dk += dk < 32 ? 1 : 13) {
    for (int dv = 1; dv <= 512; dv += dv < 64 ? 1 : 37) {
      for (const int heads : {1, 3, 16}) {
        JetBlock::Config c{.heads = heads, .dk = dk, .dv = dv, .conv = 3, .generator = std::max(1, heads * dv / 7)};
        c.norm_eps = 3e-7f;
        const Json j = write_jet_nemotron(spec_of({c}), "here");
        ASSERT_EQ(mixer_to_json(read_jet_nemotron(j, "here").layers[0]), mixer_to_json(c)) << j.dump();
      }
    }
  }
}

TEST_F(Export, WindowsAroundLayersThatStayFull) {
  const std::string own = model(spec_of({attention(), attention(8), attention(), jet_block(), attention()}));
  const auto with = [](int window, int sinks, std::vector<int> full) {
    return ExportOptions{.windows = ExportWindows{window, sinks, std::move(full)}};
  };
  const std::string made = exported(own, with(16, 3, {2}));
  auto narrow = attention(16);
  narrow.sinks = 3;
  const ModelSpec expected = spec_of({narrow, attention(8), attention(), jet_block(), narrow});
  EXPECT_EQ(read_file(made + "/config.json"), read_file(model(expected) + "/config.json"));
  expect_same_tensors(made, own);
  EXPECT_EQ(sorted(exported(own, {.format = "jet-nemotron", .windows = ExportWindows{8, 0, {2}}}) + "/config.json"),
            sorted(exported(model(spec_of({attention(8), attention(8), attention(), jet_block(), attention(8)})),
                            {.format = "jet-nemotron"}) +
                   "/config.json"));

  const auto error = [&](const ExportOptions& o) { return message_of([&] { export_model(own, path("none"), o); }); };
  EXPECT_HAS(error(with(16, 4, {5})), "--full 5: there are layers 0 to 4");
  EXPECT_HAS(error(with(16, 4, {0, 1})), "--full 1: that layer is swa 8, and stays so");
  EXPECT_HAS(error(with(16, 4, {3})), "--full 3: that layer is jet, and stays so");
  EXPECT_HAS(error(with(16, 4, {0, 2, 4})), "no layer of full attention is left");
  EXPECT_FALSE(file_exists(path("none")));
}

TEST_F(Export, WhatTheOfficialLayoutCannotExpressIsToldByLayer) {
  const auto with = [](auto config, auto edit) {
    edit(config);
    return MixerSpec(config);
  };
  const auto error = [&](const std::vector<MixerSpec>& layers, auto edit) {
    ModelSpec spec = spec_of(layers);
    edit(spec);
    return message_of([&] { export_model(model(spec), path("none"), {.format = "jet-nemotron"}); });
  };
  const auto as_is = [](ModelSpec&) {};
  struct Case {
    std::vector<MixerSpec> layers;
    std::string says;
  };
  const std::vector<Case> cases = {
      {{jet_block(), Gla::Config{.heads = 2, .kv_heads = 2, .dk = 8, .dv = 8, .gate_rank = 4}}, "layer 1 is gla"},
      {{RetNet::Config{.heads = 2, .dk = 8, .dv = 8}}, "layer 0 is retnet"},
      {{attention(), with(attention(), [](auto& a) { a.o_bias = true; })}, "layer 1 (attention) has a bias on o_proj"},
      {{with(attention(4), [](auto& a) { a.qk_norm = true; })}, "layer 0 (swa 4) has norms on q and k"},
      {{with(attention(4), [](auto& a) { a.sinks = 2; })}, "layer 0 (swa 4 + 2) has 2 sinks"},
      {{with(attention(), [](auto& a) { a.scale = 0.5; })}, "scales its scores by 0.5"},
      {{attention(4), jet_block(), attention(8)},
       "layer 2 is attention of 4 heads (2 for keys and values) of 10, "
       "window 8"},
      {{attention(), with(attention(8), [](auto& a) { a.kv_heads = 4; })}, "layer 1 is attention of 4 heads (4 for"},
      {{attention(), with(attention(), [](auto& a) { a.rope.theta = 7; })}, "rope theta 7"},
      {{jet_block(), with(jet_block(), [](auto& b) { b.dv = 12; })}, "layer 1 is JetBlock of 3 heads, 6 x 12"},
      {{with(jet_block(), [](auto& b) { b.generator = 29; })}, "layer 0: a JetBlock's generator of 29"},
  };
  for (const auto& c : cases) {
    const std::string message = error(c.layers, as_is);
    EXPECT_HAS(message, c.says);
    EXPECT_HAS(message, "--format hf");
  }
  EXPECT_HAS(error({attention()}, [](ModelSpec& s) { s.norms = Norms::both; }), "norms after the mixer");
  EXPECT_HAS(error({attention()}, [](ModelSpec& s) { s.embed_scale = 2; }), "scaled embeddings");
  EXPECT_HAS(error({attention()}, [](ModelSpec& s) { s.hidden_act = Activation::gelu_tanh; }), "silu");
  EXPECT_FALSE(file_exists(path("none")));
}

TEST_F(Export, AttentionWithoutBiasesGetsZeros) {
  auto plain = attention();
  plain.qkv_bias = false;
  const std::string own = model(spec_of({plain, jet_block()}));
  const Checkpoint c = Checkpoint::open(exported(own, {.format = "jet-nemotron"}));
  EXPECT_TRUE(std::get<Attention::Config>(c.spec.layers[0]).qkv_bias);
  for (const auto& [name, size] : {std::pair{"q", 40}, {"k", 20}, {"v", 20}}) {
    EXPECT_EQ(c.floats(fmt::format("model.layers.0.self_attn.{}_proj.bias", name), ParamSpec::constant(size, 0)),
              std::vector<float>(size));
  }
  EXPECT_EQ(c.tensors.all().size(), SafeTensors::open(own).all().size() + 3);
}

TEST_F(Export, LargeModelsGoToShards) {
  const auto whole = SafeTensors::open(kFixture);
  const int64_t limit = 300'000;
  const std::string target = path("shards");
  const ExportReport r = export_model(kFixture, target, {.format = "jet-nemotron", .shard_bytes = limit});
  expect_same_tensors(target, kFixture);
  EXPECT_FALSE(file_exists(target + "/model.safetensors"));
  const auto index = sorted(target + "/model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], r.bytes);
  EXPECT_EQ(index["weight_map"].size(), whole.all().size());
  std::map<std::string, int64_t> bytes;
  for (const auto& [name, file] : index["weight_map"].items()) {
    bytes[file.get<std::string>()] += static_cast<int64_t>(whole.at(name).bytes.size());
  }
  EXPECT_EQ(bytes.size(), r.files);
  EXPECT_EQ(bytes.begin()->first, fmt::format("model-00001-of-{:05}.safetensors", r.files));
  for (const auto& [file, n] : bytes) EXPECT_LE(n, limit) << file;
  EXPECT_GE(r.files, r.bytes / limit);
  // A tensor that is larger than a file may be has one of its own.
  EXPECT_EQ(export_model(kFixture, path("single"), {.shard_bytes = 1}).files, whole.all().size());
  expect_same_tensors(path("single"), kFixture);
}

TEST_F(Export, CastsWhereItIsAskedTo) {
  const std::string narrow = exported(kFixture, {.format = "jet-nemotron", .dtype = DType::bf16});
  const std::string wide = exported(narrow, {.format = "jet-nemotron", .dtype = DType::f32});
  EXPECT_EQ(sorted(narrow + "/config.json")["torch_dtype"], "bfloat16");
  EXPECT_EQ(sorted(wide + "/config.json"), sorted(kFixture + "/config.json"));
  const auto source = SafeTensors::open(kFixture), a = SafeTensors::open(narrow), b = SafeTensors::open(wide);
  for (const auto& [name, t] : source.all()) {
    EXPECT_EQ(a.at(name).dtype, DType::bf16) << name;
    EXPECT_EQ(b.at(name).dtype, DType::f32) << name;
    std::vector<float> rounded = to_floats(t);
    for (float& x : rounded) x = to_float(to_bf16(x));
    EXPECT_EQ(to_floats(b.at(name)), rounded) << name;
  }
  EXPECT_HAS(message_of([&] { exported(kFixture, {.dtype = DType::i8}); }), "i8");
}

TEST_F(Export, TakesTheModelOfARun) {
  fs::create_directories(path("run"));
  EXPECT_HAS(message_of([&] { exported(path("run"), {}); }), "finish");
  fs::copy(model(hybrid()), path("run/model"));
  write_file(path("run/model/tokenizer.json"), "{}");
  const std::string target = exported(path("run"), {.format = "jet-nemotron"});
  expect_same_tensors(target, path("run/model"));
  EXPECT_EQ(read_file(target + "/tokenizer.json"), "{}");
}

TEST_F(Export, KeepsTheAuthorsCodeBesideTheirModels) {
  const std::string source = path("with-code"), note = "authors' code";
  fs::copy(kFixture, source);
  for (const auto& p : fs::directory_iterator(source))
    fs::permissions(p, fs::perms::owner_write, fs::perm_options::add);
  write_file(source + "/modeling_jet_nemotron.py", "pass\n");
  const ExportReport r = export_model(source, path("official"), {.format = "jet-nemotron"});
  EXPECT_EQ(read_file(path("official/modeling_jet_nemotron.py")), "pass\n");
  EXPECT_TRUE(r.notes.empty());
  EXPECT_HAS(export_model(kFixture, path("bare"), {.format = "jet-nemotron"}).notes.at(0), note);
}

TEST_F(Export, TellsWhereTheLayoutsReadersDiffer) {
  const auto notes = [&](const ModelSpec& spec, const std::string& format) {
    static int n = 0;
    const auto r = export_model(model(spec), path(fmt::format("notes-{}", n++)), {.format = format});
    return fmt::format("{}", fmt::join(r.notes, "; "));
  };
  auto odd = attention();
  odd.head_dim = 12, odd.rope.theta = 500.5;
  const std::string all = notes(spec_of({odd}), "jet-nemotron"), few = notes(hybrid(), "jet-nemotron");
  for (const char* part : {"head_dim (12)", "(500.5)", "JetBlock in one layer"}) {
    EXPECT_HAS(all, part);
    EXPECT_EQ(few.find(part), std::string::npos) << few;
  }
  EXPECT_EQ(notes(spec_of({odd}), "hf"), "");
}

TEST_F(Export, LeavesWhatExistsAlone) {
  write_file(path("taken/file"), "mine");
  EXPECT_HAS(message_of([&] { export_model(kFixture, path("taken"), {}); }), "exists");
  EXPECT_EQ(read_file(path("taken/file")), "mine");
  EXPECT_HAS(message_of([&] { export_model(path("taken/.."), path("taken/.."), {}); }), "model");
  EXPECT_HAS(message_of([&] { export_model(kFixture, kFixture + "/", {}); }), "source itself");
  EXPECT_HAS(message_of([&] { export_model(kFixture, path("x"), {.format = "gguf"}); }), "known: hf, jet-nemotron");
  fs::create_directories(path("empty"));
  export_model(kFixture, path("empty/"), {});
  expect_same_tensors(path("empty"), kFixture);
  for (const auto& p : fs::directory_iterator(path(""))) {
    EXPECT_EQ(p.path().string().find(".tmp-"), std::string::npos) << p.path();
  }
}

}  // namespace
}  // namespace jet
