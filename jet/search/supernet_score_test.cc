// A path's score does not depend on how it was asked: with what paths have in common kept or not, at once or by rounds.
#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/file.h"
#include "jet/search/selectors/selector.h"
#include "jet/search/supernet.h"

namespace jet {
namespace {

const char* const kScoreRecipe = R"(
device = "cpu"
threads = 1
precision = "{}"
held_out_tokens = 1024
[[data]]
name = "skills"
path = "data/train/skills.txt"
[eval]
search_items = 5
items = 1
[supernet.budget]
distill = {{train = {{tokens = 64, batch = 1, length = 32}}}}
[placement]
full_objective = [{{task = "recall"}}, {{task = "kl"}}]
first_items = {}
shared_mb = {}
)";

struct SupernetScore : testing::Test {
  SupernetScore() { std::filesystem::remove_all(folder); }
  ~SupernetScore() override { std::filesystem::remove_all(folder); }
  // What each path scores.
  std::vector<Json> scores(const std::string& precision, int first_items, int shared_mb) {
    const std::string here = fmt::format("{}/{}-{}-{}", folder, precision, first_items, shared_mb);
    write_file(here + "/recipe.toml", fmt::format(fmt::runtime(kScoreRecipe), precision, first_items, shared_mb));
    jet::Run run({.recipe = here + "/recipe.toml", .out = here + "/run", .base = "models/base"});
    Supernet net(run);
    std::vector<Json> out;
    for (const LayerSet& full : std::vector<LayerSet>{{}, {2}, {2, 5}, {2, 6}, {0}, {2, 5}})
      for (const char* task : {"recall", "mcq"}) out.push_back(net.score(path_of(net.layers(), full, {7}), task));
    whole = run.evaluator
                .score(
                    run.evaluator.search_task("mcq"),
                    [&](const at::Tensor& ids) {
                      const Path path = path_of(net.layers(), {2, 5}, {7});
                      return forward_with(run.ops, run.teacher.model, ids, [&](int l, const at::Tensor& h) {
                        return net.mixer(run.ops, path[l], l, h);
                      });
                    },
                    head_of(run.teacher.model))
                .to_json();
    const LayerSet last = {1, 2, 3, 4, 5, 6};
    some = net.score(path_of(net.layers(), last), "recall", 0);
    keys = run.folder.ledger.keys("supernet/" + to_string(path_of(net.layers(), last)));
    SelectionInput in(run, net, all_layers(net.layers()), 1);
    objective = in.score({3}).as_number(), tokens = in.spent.forward_tokens;
    return out;
  }
  std::string folder = testing::TempDir() + "jet_supernet_score";
  Json whole;                     // what the last path scores on the last task, by forward_with
  Json some;                      // of the first round of one more path
  std::vector<std::string> keys;  // that the ledger has of that
  double objective = 0;           // of one more path, which has a term by KL
  int64_t tokens = 0;             // that it was charged
};

TEST_F(SupernetScore, IsTheSameHoweverItIsAsked) {
  const auto plain = scores("fp32", 0, 0);
  const double own_objective = objective;
  const int64_t own_tokens = tokens;
  EXPECT_EQ(keys, (std::vector<std::string>{"supernet/LFFFFFFL/recall"}));
  EXPECT_EQ(some.at("total"), 5);
  EXPECT_EQ(plain.back(), whole);
  EXPECT_EQ(scores("fp32", 0, 64), plain);
  const auto rounded = scores("bf16", 0, 64);
  EXPECT_EQ(rounded.back(), whole);
  EXPECT_EQ(scores("bf16", 0, 0), rounded);
  const auto rounds = scores("fp32", 2, 64);  // of 2, 2 and 1 items
  EXPECT_EQ(keys, (std::vector<std::string>{"supernet/LFFFFFFL/recall/0-2"}));
  EXPECT_EQ(some.at("total"), 2);
  EXPECT_NEAR(objective, own_objective, 1e-5);
  EXPECT_EQ(tokens, own_tokens) << "a term by KL is asked by the first round alone";
  ASSERT_EQ(rounds.size(), plain.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(rounds[i].at("accuracy").get<double>(), plain[i].at("accuracy").get<double>(), 1e-12) << i;
    EXPECT_NEAR(rounds[i].at("nll").get<double>(), plain[i].at("nll").get<double>(), 1e-5) << i;
  }
}

}  // namespace
}  // namespace jet
