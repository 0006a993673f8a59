// What a run leaves for those who watch it, and that it is left seldom.
#include "jet/search/run_watch.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/file.h"

namespace jet {
namespace {

struct RunWatchTest : testing::Test {
  RunWatchTest() { std::filesystem::remove_all(folder); }
  ~RunWatchTest() override { std::filesystem::remove_all(folder); }
  Json progress() const { return read_json(folder + "/progress.json"); }
  void open(RunWatch& watch) {
    watch.open(folder, [](const Json& so_far) { return Json{{"title", "a run"}, {"so far", so_far}}; });
  }
  const std::string folder = testing::TempDir() + "jet_run_watch";
};

RunStanding at(const std::string& stage, int64_t done) {
  RunStanding s;
  s.run = "postnas", s.stage = stage, s.unit = "paths", s.at = 3, s.of = 9, s.done = done, s.total = 10;
  s.share = 0.25, s.tokens_per_second = 1200;
  return s;
}

TEST_F(RunWatchTest, NothingBeforeItIsOpened) {
  RunWatch watch;
  watch.stands(at("base", 1));
  watch.found("base", []() -> Json { throw Error("nobody asks"); });
  watch.end(true), watch.fail("");
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(RunWatchTest, WritesAtMostSoOftenAndEveryNewStage) {
  RunWatch watch;
  open(watch);
  EXPECT_EQ(progress()["stage"], "");
  watch.stands(at("heat_map", 1));
  const Json j = progress();
  EXPECT_EQ(j["done"], 1);
  EXPECT_EQ(j["share"], 0.25);
  EXPECT_EQ(j["tokens_per_second"], 1200.0);
  EXPECT_TRUE(j["eta_s"].is_null()) << "unknown";
  EXPECT_FALSE(j["finished"].get<bool>());
  EXPECT_LE(j["started"].get<int64_t>(), j["updated"].get<int64_t>());
  watch.stands(at("heat_map", 2));
  EXPECT_EQ(progress()["done"], 1) << "within a second";
  watch.stands(at("placement", 0));
  EXPECT_EQ(progress()["stage"], "placement");

  int asked = 0;
  for (int i = 0; i < 3; ++i) watch.found("heat_map", [&] { return Json{{"cells", ++asked}}; });
  EXPECT_EQ(asked, 1) << "within three seconds";
  EXPECT_EQ(read_json(folder + "/report.json"), (Json{{"title", "a run"}, {"so far", {{"heat_map", {{"cells", 1}}}}}}));
}

TEST_F(RunWatchTest, TellsHowItEndedAndKeepsTheFirstStart) {
  std::filesystem::create_directories(folder);
  write_file(folder + "/progress.json", R"({"started": 1234})");
  RunWatch watch;
  open(watch);
  EXPECT_EQ(progress()["started"], 1234);
  watch.stands(at("blocks", 3));
  watch.fail("the loss stopped being finite\nframe 1");
  EXPECT_EQ(progress()["error"], "the loss stopped being finite");
  RunWatch again;
  open(again);
  EXPECT_FALSE(progress().contains("error"));
  again.end(true);
  EXPECT_TRUE(progress()["finished"].get<bool>());
  write_file(folder + "/progress.json", "no JSON");
  RunWatch third;
  open(third);
  EXPECT_GT(progress()["started"].get<int64_t>(), 1234);
}

}  // namespace
}  // namespace jet
