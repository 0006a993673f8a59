// A ModelSpec as JSON, and mixers made in the place of attention.
#include <gtest/gtest.h>

#include "jet/model/checkpoint.h"

namespace jet {
namespace {

const Attention::Config kAttention{.heads = 4, .kv_heads = 2, .head_dim = 10, .rope = {.theta = 500}};

ModelSpec two_layers() {
  ModelSpec s;
  s.vocab_size = 61, s.hidden_size = 40, s.intermediate_size = 28, s.max_position_embeddings = 96;
  s.layers = {kAttention, RetNet::Config{.heads = 3, .dk = 6, .dv = 10}};
  return s;
}

std::vector<std::string> names_of(const ModelSpec& s) {
  ModelWeights<char> w;
  std::vector<std::string> names;
  model_params(s, w, [&](const std::string& name, char&, const ParamSpec&) { names.push_back(name); });
  return names;
}

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

// Written by version 0.1.0.
const char* const kOld =
    R"({"vocab_size":61,"hidden_size":40,"intermediate_size":28,"max_position_embeddings":96,)"
    R"("rms_norm_eps":9.999999974752427e-07,"tie_word_embeddings":true,"post_norms":true,"hidden_act":"gelu_tanh",)"
    R"("embed_scale":3.0,"eos_token_id":[5],"bos_token_id":-1,"layers":[{"kind":"retnet","heads":3,"dk":6,"dv":10,)"
    R"("gate":true,"norm_eps":9.999999747378752e-06,"rope":{"theta":10000.0,"factor":1.0,"low_freq_factor":1.0,)"
    R"("high_freq_factor":4.0,"original_context":8192.0}}]})";

TEST(Spec, OldConfigsAreReadAndWrittenAsTheyWere) {
  const ModelSpec s = spec_from_json(parse_json(kOld, "old"), "old");
  EXPECT_EQ(s.norms, Norms::both);
  EXPECT_EQ(s.hidden_act, Activation::gelu_tanh);
  EXPECT_TRUE(s.forms.empty());
  EXPECT_EQ(spec_to_json(s).dump(), kOld);
}

TEST(Spec, FormsAreSaidWhereALayerDiffers) {
  ModelSpec s = two_layers();
  s.residual_scale = 0.5f, s.logits_scale = 0.25f;
  s.forms = {{Norms::after}, {Norms::before, false}};
  const Json j = spec_to_json(s);
  EXPECT_EQ(j["post_norms"], false);
  EXPECT_EQ(j["residual_scale"], 0.5);
  EXPECT_EQ(j["layers"][0]["post_norms"], "only");
  EXPECT_FALSE(j["layers"][0].contains("mlp"));
  EXPECT_EQ(j["layers"][1]["mlp"], false);
  EXPECT_FALSE(j["layers"][1].contains("post_norms"));
  const ModelSpec back = spec_from_json(j, "here");
  EXPECT_EQ(back.forms, s.forms);
  EXPECT_EQ(back.logits_scale, s.logits_scale);
  EXPECT_EQ(spec_to_json(back), j);
  EXPECT_EQ(names_of(back), names_of(s));
}

TEST(Spec, NormsAreNamedAsHuggingFaceNamesThem) {
  ModelSpec s = two_layers();
  s.layers.resize(1);
  const auto norms = [&](LayerForm form) {
    s.forms = {form};
    std::string all;
    for (const std::string& name : names_of(s)) {
      const size_t at = name.find("layernorm.weight");
      if (at != std::string::npos) all += name.substr(std::string("model.layers.0.").size(), at - 16) + " ";
    }
    return all;
  };
  EXPECT_EQ(norms({}), "input post_attention ");
  EXPECT_EQ(norms({Norms::after}), "post_attention post_feedforward ");
  EXPECT_EQ(norms({Norms::both}), "input post_attention pre_feedforward post_feedforward ");
  EXPECT_EQ(norms({Norms::before, false}), "input ");
  s.layers = {None::Config{}};
  EXPECT_EQ(norms({}), "post_attention ");
  EXPECT_EQ(norms({Norms::both, false}), "");
}

TEST(Spec, WrongFormsAreTold) {
  const auto error = [](const char* pointer, const char* value) {
    Json j = spec_to_json(two_layers());
    j[Json::json_pointer(pointer)] = Json::parse(value);
    return error_of([&] { spec_from_json(j, "here"); });
  };
  EXPECT_NE(error("/hidden_act", R"("relu")").find("activation 'relu'"), std::string::npos);
  EXPECT_NE(error("/post_norms", "3").find("post_norms"), std::string::npos);
  EXPECT_NE(error("/layers/1/post_norms", R"("never")").find("layer 1: key 'post_norms'"), std::string::npos);
  EXPECT_NE(error("/layers/0/mlp", "1").find("layer 0: key 'mlp'"), std::string::npos);
  EXPECT_NE(error("/layers/0/mixer", "1").find("unknown key 'mixer'"), std::string::npos);
  EXPECT_NE(error("/intermediate_size", "0").find("intermediate_size"), std::string::npos);
  ModelSpec s = two_layers();
  s.forms = {{}};
  EXPECT_NE(error_of([&] { check_spec(s, "here"); }).find("forms"), std::string::npos);
  s.forms = {{.mlp = false}, {.mlp = false}}, s.intermediate_size = 0;
  EXPECT_EQ(error_of([&] { check_spec(s, "here"); }), "no error");
}

TEST(Spec, WhatQwen2CannotSayIsNotWritten) {
  const Family& qwen2 = family_named("qwen2", "here");
  ModelSpec s = two_layers();
  Attention::Config a = kAttention;
  a.qkv_bias = true;
  s.layers = {a, a};
  EXPECT_EQ(error_of([&] { qwen2.write(s, "here"); }), "no error");
  s.residual_scale = 2;
  EXPECT_NE(error_of([&] { qwen2.write(s, "here"); }).find("scaled residuals"), std::string::npos);
}

TEST(Mixers, TakeThePlaceOfAttention) {
  BlockList::for_each([]<class Block>() {
    const MixerSpec m = make_mixer(Block::kind, kAttention), given = make_mixer(Block::kind, kAttention, {3, 6, 8});
    EXPECT_TRUE(std::holds_alternative<typename Block::Config>(m));
    for (const auto& c : {m, given}) {
      std::visit([](const auto& config) { config.check(Block::kind); }, c);
      EXPECT_EQ(mixer_to_json(mixer_from_json(mixer_to_json(c), "here")), mixer_to_json(c));
    }
    for (const auto& c : Block::Config::examples()) c.check(Block::kind);
  });
  const auto gla = std::get<Gla::Config>(make_mixer("gla:conv=4,gate=false", kAttention, {3, 6, 8}));
  EXPECT_EQ(std::tuple(gla.heads, gla.kv_heads, gla.dk, gla.dv), std::tuple(3, 3, 6, 8));
  EXPECT_EQ(std::pair(gla.conv, gla.gate), std::pair(4, false));
  EXPECT_EQ(std::get<LinearAttention::Config>(make_mixer("linear_attention", kAttention)).rope.theta, 500);
  EXPECT_EQ(std::get<JetBlock::Config>(make_mixer("jet", kAttention)).generator, 5);
}

TEST(Mixers, UnknownNamesAndOptionsAreTold) {
  const auto error = [](const char* kind) { return error_of([&] { make_mixer(kind, kAttention); }); };
  EXPECT_NE(error("gal").find("unknown mixer kind 'gal' (known: attention, gla"), std::string::npos);
  EXPECT_NE(error("gla:width=4").find("unknown key 'width'"), std::string::npos);
  EXPECT_NE(error("gated_hybrid:conv=4").find("unknown key 'conv'"), std::string::npos);
  EXPECT_NE(error("gla:conv").find("expected key=value"), std::string::npos);
}

TEST(Mixers, AWindowDeltaHasItsSinksBesideItsAttention) {
  const auto error = [](const WindowDelta::Config& c) {
    ModelSpec s = two_layers();
    s.layers[1] = c;
    return error_of([&] { check_spec(s, "here"); });
  };
  WindowDelta::Config c = WindowDelta::Config::like(kAttention, {});
  EXPECT_EQ(error(c), "no error");
  c.attention.sinks = 3;
  EXPECT_NE(error(c).find("attention: 3 sinks beside a window of 0"), std::string::npos) << error(c);
}

TEST(Mixers, AWindowAndItsSinksAreNoMoreThanCanBeCounted) {
  const auto error = [](const char* kind) {
    return error_of([&] {
      ModelSpec s = two_layers();
      s.layers[1] = make_mixer(kind, kAttention);
      check_spec(s, "here");
    });
  };
  EXPECT_EQ(error("attention:window=2147483640,sinks=7"), "no error");
  EXPECT_NE(error("attention:window=2147483640,sinks=8").find("are too many"), std::string::npos);
  EXPECT_NE(error("window_delta:window=8,sinks=2147483640").find("are too many"), std::string::npos);
}

}  // namespace
}  // namespace jet
