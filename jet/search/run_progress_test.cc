// A run's progress: units and time left come from the plan, what the ledger has is no work, a training that is taken up
// again counts from where it stood.
#include "jet/search/run_progress.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <vector>

namespace jet {
namespace {

struct Kept : ProgressSink {
  void show(const ProgressState& s) override { states.push_back(s); }
  std::vector<ProgressState> states;
  const ProgressState& last() const { return states.back(); }
};

struct RunProgressTest : testing::Test {
  RunProgressTest() { set_progress_sink(&kept); }
  ~RunProgressTest() override { set_progress_sink(nullptr); }
  static StageWork stage(const char* name, const char* unit, int64_t units, WorkKind kind, double passes) {
    StageWork s{name, unit, units};
    s[kind] = passes;
    return s;
  }
  Kept kept;
};

void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

TEST_F(RunProgressTest, WithoutAPlanItHandsOn) {
  {
    RunProgress run;
    Progress("work", 10, "items").update(3, "note");
  }
  ASSERT_EQ(kept.states.size(), 1U);
  EXPECT_EQ(kept.last().stage, "work");
  EXPECT_EQ(kept.last().done, 3);
  EXPECT_LT(kept.last().whole_left, 0);
}

TEST_F(RunProgressTest, CountsItsStagesUnitsAndTakesOffWhatIsKnown) {
  RunProgress run;
  run.plan("postnas", {stage("heat_map", "paths", 4, WorkKind::paths, 400),
                       stage("placement", "paths", 10, WorkKind::paths, 1000)});
  run.begin("heat_map");
  EXPECT_LT(run.run_left(), 0) << "nothing has been measured";
  run.found(WorkKind::paths, 100, "paths");
  {
    const auto doing = run.doing(WorkKind::paths, 100);
    rest();
  }
  run.count("paths");
  EXPECT_EQ(kept.last().stage, "postnas 1/2 heat_map");
  EXPECT_EQ(kept.last().done, 1);
  EXPECT_EQ(kept.last().total, 3);
  EXPECT_GT(run.stage_left(), 0.009);  // two of 100 passes, each of 5 ms or more
  EXPECT_NEAR(run.run_left(), 6 * run.stage_left(), 1e-6 * run.run_left());
  run.count("trainings");
  EXPECT_EQ(kept.last().done, 1) << "of another unit";
  run.end();
  EXPECT_TRUE(kept.last().finished);
  run.begin("placement");
  run.count("paths", 10);
  EXPECT_EQ(kept.last().stage, "postnas 2/2 placement");
  EXPECT_EQ(kept.last().done, 10);
}

TEST_F(RunProgressTest, AWatcherIsToldWhereItStands) {
  RunProgress run;
  std::vector<RunStanding> told;
  run.watched_by([&](const RunStanding& s) { told.push_back(s); });
  run.plan("postnas", {stage("supernet", "tokens", 1000, WorkKind::distill, 4000),
                       stage("blocks", "trainings", 3, WorkKind::distill, 12000)});
  Progress("before", 10, "items").update(3);
  EXPECT_TRUE(told.empty());
  run.begin("supernet");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told.back().stage, "supernet");
  EXPECT_TRUE(std::isnan(told.back().eta_s) && std::isnan(told.back().share)) << "nothing has been measured";
  {
    const auto doing = run.training(WorkKind::distill, 4000);
    Progress tokens("random paths", 1000);
    rest();
    tokens.update(500, "loss 1");
    const RunStanding s = told.back();
    EXPECT_EQ(s.at, 1);
    EXPECT_EQ(s.of, 2);
    EXPECT_EQ(s.done, 500);
    EXPECT_EQ(s.work, "random paths");
    EXPECT_EQ(s.note, "loss 1");
    EXPECT_GT(s.tokens_per_second, 0);
    EXPECT_NEAR(s.share, 2000.0 / 16000, 1e-9);
    EXPECT_NEAR(s.eta_s, 7 * s.stage_eta_s, 1e-6 * s.eta_s);
    tokens.finish();
  }
  run.end();
  run.begin("blocks");
  EXPECT_EQ(told.back().at, 2);
  EXPECT_NEAR(told.back().share, 0.25, 1e-9);
}

TEST_F(RunProgressTest, ATrainingTellsHowFarItIs) {
  RunProgress run;
  run.plan("postnas", {stage("supernet", "tokens", 1000, WorkKind::distill, 4000)});
  run.begin("supernet");
  {
    const auto doing = run.training(WorkKind::distill, 4000);
    Progress tokens("random paths", 1000, "tokens", 500);  // half was done before
    rest();
    tokens.update(750, "loss 1");
    EXPECT_EQ(kept.last().done, 750);
    EXPECT_EQ(kept.last().total, 1000);
    EXPECT_GT(run.stage_left(), 0.004);  // as long as the quarter that was done here
    tokens.finish();
    EXPECT_EQ(kept.last().stage, "random paths") << "a line of its own";
  }
  EXPECT_EQ(run.stage_left(), 0);
  { const auto found = run.training(WorkKind::distill, 1e9); }  // finished before: nothing of it was measured
  EXPECT_EQ(run.run_left(), 0);
}

}  // namespace
}  // namespace jet
