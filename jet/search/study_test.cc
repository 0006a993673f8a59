// Made-up rows say what they promise; a study learns where it can, goes on after a stop, and compares at equal state.
#include "jet/search/study.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "jet/base/file.h"
#include "jet/search/plot.h"

namespace jet {
namespace {

SyntheticTask task_of(const std::string& kind) {
  SyntheticTask t;
  t.kind = kind;
  t.pairs = 3;
  return t;
}

SyntheticRow row_of(const SyntheticTask& t, int load, int64_t row, const std::string& label = "train") {
  return synthetic_row(t, load, 1, label, 0, row);
}

TEST(Synthetic, RowsArePureFunctionsAndDiffer) {
  for (const char* kind : {"mqar", "noisy_recall", "needle", "copy", "parity"}) {
    const SyntheticTask t = task_of(kind);
    std::set<std::vector<int64_t>> rows;
    for (const char* label : {"train", "test"}) {
      for (int i = 0; i < 20; ++i) {
        const SyntheticRow a = row_of(t, 24, i, label);
        EXPECT_EQ(a.ids, row_of(t, 24, i, label).ids);
        EXPECT_EQ(a.ids.size(), a.targets.size());
        EXPECT_EQ(a.ids.size(), row_of(t, 24, 0, label).ids.size());
        for (int64_t id : a.ids) EXPECT_TRUE(id >= 0 && id < vocabulary_size(t)) << kind;
        rows.insert(a.ids);
      }
    }
    EXPECT_EQ(rows.size(), 40u) << kind;
  }
}

TEST(Synthetic, RecallAsksEveryKeyOnceForItsValue) {
  for (const char* kind : {"mqar", "noisy_recall", "needle"}) {
    const SyntheticTask t = task_of(kind);
    const int load = 10;
    for (int n = 0; n < 20; ++n) {
      const SyntheticRow row = row_of(t, load, n);
      std::map<int64_t, int64_t> value_of;
      size_t noise = 0, asked = 0;
      for (size_t i = 0; i < row.ids.size(); ++i) {
        if (row.targets[i] >= 0) {
          ASSERT_TRUE(value_of.contains(row.ids[i])) << "asked before it was shown, or twice";
          EXPECT_EQ(row.targets[i], value_of[row.ids[i]]);
          value_of.erase(row.ids[i]);
          ++asked;
        } else if (row.ids[i] >= 2 * t.vocabulary) {
          ++noise;
        } else if (row.ids[i] < t.vocabulary) {
          EXPECT_FALSE(value_of.contains(row.ids[i]));
          value_of[row.ids[i]] = row.ids[i + 1];
        }
      }
      EXPECT_TRUE(value_of.empty());
      EXPECT_EQ(asked, kind == std::string("needle") ? 3u : 10u);
      EXPECT_EQ(noise, kind == std::string("mqar") ? 0u : kind == std::string("needle") ? 4u : 20u);
    }
  }
}

TEST(Synthetic, CopyAndParity) {
  const SyntheticTask copy = task_of("copy");
  const SyntheticRow c = row_of(copy, 5, 0);
  ASSERT_EQ(c.ids.size(), 10u);
  EXPECT_EQ(c.ids[5], copy.vocabulary);
  EXPECT_TRUE(std::equal(c.ids.begin(), c.ids.begin() + 5, c.targets.begin() + 5));
  EXPECT_TRUE(std::equal(c.ids.begin(), c.ids.begin() + 4, c.ids.begin() + 6));
  EXPECT_EQ(c.targets[4], -1);

  const SyntheticRow p = row_of(task_of("parity"), 9, 0, "test");
  int64_t parity = 0;
  for (size_t i = 0; i < 9; ++i) {
    parity ^= p.ids[i];
    EXPECT_EQ(p.targets[i], i < 4 ? -1 : parity);
  }
  EXPECT_EQ(row_of(task_of("parity"), 9, 0).targets[0], row_of(task_of("parity"), 9, 0).ids[0]);
}

TEST(Synthetic, SaysWhatCannotBeMade) {
  const auto error_of = [](SyntheticTask t) -> std::string {
    try {
      t.check("r.toml");
    } catch (const Error& e) { return e.what(); }
    return "";
  };
  EXPECT_EQ(error_of(task_of("mqar")), "");
  EXPECT_NE(error_of(task_of("maze")).find("known: mqar, noisy_recall, needle, copy, parity"), std::string::npos);
  SyntheticTask t = task_of("mqar");
  t.test = {65};
  EXPECT_NE(error_of(t).find("65 pairs need as many keys; vocabulary is 64"), std::string::npos);
  t = task_of("needle");
  t.train = {5};
  EXPECT_NE(error_of(t).find("3 pairs do not fit a context of 5 tokens"), std::string::npos);
}

TEST(Study, LinearKindsHaveTheSameState) {
  const StudyModel m{.first = "attention:window=2", .heads = 2, .dk = 8, .dv = 16};
  int linear = 0;
  BlockList::for_each([&]<class Block>() {
    const ModelSpec s = study_spec(m, Block::kind, task_of("mqar"));
    ASSERT_EQ(s.n_layers(), 3);
    const int64_t n = recurrent_numbers(s);
    const int64_t dv = std::is_same_v<Block, WindowDelta> ? 8 : 16;  // it has its attention's own v
    EXPECT_TRUE(n == 0 || n == 2 * 2 * 8 * dv) << Block::kind << ": " << n;
    linear += n > 0 ? 1 : 0;
  });
  EXPECT_GE(linear, 10);
}

std::string recipe(const std::string& folder, const std::string& text) {
  write_file(folder + "/study.toml", text);
  return folder + "/study.toml";
}

TEST(Study, LearnsAndGoesOnWhereItStopped) {
  const std::string folder = testing::TempDir() + "jet_study", out = folder + "/out";
  std::filesystem::remove_all(folder);
  const std::string path = "tests/fixtures/study.toml";
  run_study(path, out);
  const Json first = read_json(out + "/study.json");
  const Json& kinds = first.at("tasks").at(0).at("kinds");
  ASSERT_EQ(kinds.size(), 2u);
  for (const auto& k : kinds) {
    EXPECT_EQ(k.at("seeds").size(), 2u);
    EXPECT_EQ(k.at("state"), 512);
    EXPECT_GT(k.at("mean").at(0), 0.5) << "chance is a quarter: " << k.dump();
  }
  Json ledger = read_json(out + "/ledger.json");
  ASSERT_EQ(ledger.at("results").size(), 6u);
  ledger["results"].erase("mqar/gla/lr0.01/seed0");
  write_file(out + "/ledger.json", ledger.dump());
  run_study(path, out);
  EXPECT_EQ(read_json(out + "/study.json"), first);
  EXPECT_NE(read_file(out + "/study.svg").find("delta_net:negative_eigenvalues=true"), std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST(Study, WrongRecipesAreRefused) {
  const std::string folder = testing::TempDir() + "jet_study_wrong";
  const auto error_of = [&](const std::string& text) -> std::string {
    try {
      read_study(recipe(folder, text));
    } catch (const Error& e) { return e.what(); }
    return "";
  };
  const std::string tasks = "\n[[tasks]]\nkind = \"copy\"\n";
  EXPECT_EQ(error_of("kinds = [\"attention\"]" + tasks), "");
  EXPECT_NE(error_of("kinds = [\"atention\"]" + tasks).find("unknown mixer kind 'atention'"), std::string::npos);
  EXPECT_NE(error_of("kinds = []" + tasks).find("kinds, lrs and tasks must not be empty"), std::string::npos);
  EXPECT_NE(error_of("kinds = [\"gla\"]\nstep = 3" + tasks).find("unknown key 'step'"), std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST(Study, EveryRecipeOfTheLabIsUnderstood) {
  int n = 0;
  for (const auto& file : std::filesystem::directory_iterator("lab")) {
    if (file.path().extension() != ".toml") continue;
    EXPECT_NO_THROW(read_study(file.path().string())) << file.path();
    ++n;
  }
  EXPECT_GE(n, 4);
}

TEST(Plot, LabelsAreEscapedAndLinesDrawn) {
  const std::string svg = line_plot("a < b", "per cent", {{"task", "pairs", {"4", "8"}, {{"x&y", {10, 90}, {0, 5}}}}});
  EXPECT_NE(svg.find("a &lt; b"), std::string::npos);
  EXPECT_NE(svg.find("x&amp;y"), std::string::npos);
  EXPECT_NE(svg.find("<polyline"), std::string::npos);
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

}  // namespace
}  // namespace jet
