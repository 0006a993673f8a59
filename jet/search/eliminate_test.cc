// Layers that lose their mixer: chosen among those left linear, absent from every later model, and nothing that costs.
#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/file.h"
#include "jet/model/export.h"
#include "jet/model/model_cost.h"
#include "jet/search/postnas.h"
#include "jet/search/results.h"
#include "jet/search/selectors/selector.h"
#include "jet/storage/safetensors.h"

namespace jet {
namespace {

const char* const kEliminateRecipe = R"(
device = "cpu"
precision = "fp32"
held_out_tokens = 1024
[[data]]
name = "skills"
path = "data/train/skills.txt"
[eval]
search_items = 1
items = 2
held_out_rows = 1
held_out_length = 64
[supernet.budget]
align = {tokens = 128, batch = 2, length = 64}
distill = {train = {tokens = 128, batch = 2, length = 64}}
[placement]
full = 1
swa = 1
eliminate = 2
window = 16
beam = 1
selector = "top down"
step = 0.5
swaps = 5
full_objective = [{task = "mcq", by = "auto"}, {task = "kl", weight = 0.5}]
selectors = []
[blocks]
kinds = ["gla"]
budget = {align = {tokens = 128, batch = 2, length = 64}, distill = {train = {tokens = 128, batch = 2, length = 64}}}
[dimensions]
context = 16
[distill]
stage1 = {train = {tokens = 128, batch = 2, length = 64}}
stage2 = {train = {tokens = 128, batch = 2, length = 64}}
[speed]
contexts = [0]
decode = 2
repeats = 1
prefill = 8
)";

struct Eliminate : testing::Test {
  Eliminate() {
    std::filesystem::remove_all(folder);
    write_file(folder + "/recipe.toml", kEliminateRecipe);
    options.base = "models/base", options.recipe = folder + "/recipe.toml", options.out = folder + "/run";
  }
  ~Eliminate() override { std::filesystem::remove_all(folder); }
  std::string folder = testing::TempDir() + "jet_eliminate";
  PostnasOptions options;
};

TEST_F(Eliminate, ASearchLeavesMixersOut) {
  run_postnas(options);
  const Json results = read_json(folder + "/run/ledger.json").at("results");
  const auto placement = from_json_fields<PlacementResult>(results.at("placement"), "placement");
  ASSERT_TRUE(placement.eliminated && placement.chosen.none);
  const LayerSet gone = *placement.chosen.none;
  EXPECT_EQ(gone, placement.eliminated->layers);
  EXPECT_EQ(gone.size(), 2U);
  EXPECT_EQ(placement.eliminated->trace.size(), 2U);
  for (int l : gone) EXPECT_FALSE(placement.full.count(l) > 0 || placement.swa.layers.count(l) > 0);

  const ModelSpec spec = read_spec(folder + "/run/model");
  for (int l = 0; l < spec.n_layers(); ++l) EXPECT_EQ(has_mixer(spec.layers[l]), gone.count(l) == 0) << l;
  const auto blocks = from_json_fields<BlocksResult>(results.at("blocks"), "blocks");
  ASSERT_TRUE(blocks.placed);
  EXPECT_LT(*blocks.best.parameters, *blocks.placed->parameters);
  EXPECT_LT(*blocks.best.cache_bytes, *blocks.placed->cache_bytes);

  const Json gains = read_json(folder + "/run/report.json").at("gains");
  const auto row = std::find_if(gains.begin(), gains.end(), [](const Json& g) { return g.at("step") == "- layers"; });
  ASSERT_NE(row, gains.end());
  EXPECT_EQ(row->at("note"), fmt::format("no mixer in {}", fmt::join(gone, " ")));

  // A share of the layers at once, then swaps; what it asked for is within its plan.
  const SelectedRow& chosen = placement.selectors.front();
  EXPECT_EQ(chosen.name, "top down");
  EXPECT_EQ(chosen.layers.size(), 1U);
  PlacementConfig asked;
  asked.beam = 1, asked.selector = "top down", asked.step = 0.5, asked.swaps = 5;
  EXPECT_EQ(chosen.spent->evaluations, select_at_most("top down", spec.n_layers(), 1, asked).paths);
  EXPECT_EQ(placement.beam->front().candidates.front().layers.size(), 7U);
  EXPECT_NE(placement.objective.find("+ 0.5 kl (loss)"), std::string::npos);
  ASSERT_EQ(placement.why.size(), 1U);
  EXPECT_NE(placement.why[0].find("mcq goes by its"), std::string::npos);
  std::string names;
  for (const auto& s : placement.selectors) names += s.name + ", ";
  EXPECT_EQ(names, "top down, uniform, last, window of 16 + 4 sinks, all linear, all full, ");
  EXPECT_EQ(blocks.last->layers->full, LayerSet{7});
  EXPECT_EQ(blocks.sinks->cache_bytes, 8 * (16 + 0) * 2 * 64 * 4) << "all 16 tokens of the context";
  EXPECT_EQ(blocks.placed_sinks->cache_bytes, blocks.sinks->cache_bytes);
  EXPECT_LT(blocks.placed_sinks->loss, blocks.sinks->loss);

  export_model(folder + "/run/model", folder + "/exported", {});
  EXPECT_EQ(spec_to_json(read_spec(folder + "/exported")), spec_to_json(spec));
}

TEST_F(Eliminate, APathWithoutAMixerCostsNothingThere) {
  jet::Run run({.recipe = options.recipe, .out = options.out, .base = options.base});
  Supernet net(run);
  const int n = net.layers();
  const ModelSpec with = net.spec(path_of(n, {0})), without = net.spec(path_of(n, {0}, {}, {3}));
  const CountPass pass{.tokens = 1};
  const CountTypes types = plain_types(DType::f32, 4);
  const ModelCost all = count_model(with, pass, types), fewer = count_model(without, pass, types);
  EXPECT_LT(parameter_count(without), parameter_count(with));
  for (int l = 0; l < n; ++l) {
    if (l == 3) {
      EXPECT_LT(fewer.layer(l).flops, all.layer(l).flops);
      EXPECT_EQ(fewer.layer(l).state_bytes(), 0);
    } else {
      EXPECT_EQ(fewer.layer(l).flops, all.layer(l).flops);
    }
  }
  EXPECT_EQ(fewer.layer(3).flops, count_model(net.spec(path_of(n, {}, {}, {3})), pass, types).layer(3).flops);
}

// Layers 1 and 5 of this base have windows.
TEST_F(Eliminate, WindowsOfTheBaseStay) {
  options.base = folder + "/base";
  std::filesystem::copy("models/base", options.base, std::filesystem::copy_options::recursive);
  Json config = read_json(options.base + "/config.json");
  config["layer_types"][1] = config["layer_types"][5] = "sliding_attention";
  config["sliding_window"] = 24, config["use_sliding_window"] = true;
  write_file(options.base + "/config.json", config.dump());
  const LayerSet windows{1, 5};
  const auto base = read_spec(options.base);
  ASSERT_EQ(attention_of(base, 5).window, 24);

  run_postnas(options);
  const ModelSpec spec = read_spec(folder + "/run/model");
  int linear = 0;
  for (int l = 0; l < spec.n_layers(); ++l) {
    const auto* a = std::get_if<Attention::Config>(&spec.layers[l]);
    EXPECT_EQ(a && a->window == 24, windows.count(l) > 0) << l;
    linear += !a && has_mixer(spec.layers[l]);
  }
  EXPECT_EQ(linear, 8 - 2 - 1 - 1 - 2) << "windows of the base, full, windows, none";
  const Json results = read_json(folder + "/run/ledger.json").at("results");
  for (const Json& row : results.at("heat_map").at("value")) {
    for (int l = 0; l < 8; ++l) EXPECT_EQ(row[l].is_null(), windows.count(l) > 0) << l;
  }
  const auto blocks = from_json_fields<BlocksResult>(results.at("blocks"), "blocks");
  EXPECT_EQ(blocks.last->layers->full, LayerSet{7});
  EXPECT_EQ(blocks.last->layers->swa, LayerSet{6});
  EXPECT_EQ(blocks.uniform.layers->full, LayerSet{4}) << "the middle of 0 2 3 4 6 7";

  // Their weights are no part of the supernet: all that differs is in the searched layers.
  const SafeTensors trained = SafeTensors::open(folder + "/run/checkpoints/supernet.safetensors");
  for (const auto& [name, unused] : trained.all())
    EXPECT_TRUE(name.find("layers.1.") == name.npos && name.find("layers.5.") == name.npos) << name;

  std::string text = kEliminateRecipe;
  text.replace(text.find("full = 1"), 8, "full = 6");
  write_file(options.recipe, text);
  options.out = folder + "/more";
  try {
    run_postnas(options);
    ADD_FAILURE() << "7 of 6 layers were placed";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("6 full and 1 swa layers asked for, the base has 6 besides its windows"),
              std::string::npos)
        << e.what();
  }
}

TEST_F(Eliminate, MoreThanThereAreIsRefused) {
  std::string text = kEliminateRecipe;
  text.replace(text.find("eliminate = 2"), 13, "eliminate = 7");
  write_file(options.recipe, text);
  try {
    run_postnas(options);
    ADD_FAILURE() << "7 of 6 layers were eliminated";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("eliminate is 7, expected a number in [0, 6]"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace jet
