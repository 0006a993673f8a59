#include "jet/search/ledger.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "jet/base/file.h"

namespace jet {
namespace {

struct LedgerTest : testing::Test {
  LedgerTest() { std::filesystem::remove_all(folder); }
  ~LedgerTest() override { std::filesystem::remove_all(folder); }
  std::string folder = testing::TempDir() + "jet_ledger_test";
  Json identity = {{"recipe", 1}};
};

TEST_F(LedgerTest, AnswersFromTheFileAndRefusesAnotherIdentityOrASecondRun) {
  {
    Ledger first(folder, identity);
    EXPECT_EQ(first.once("a", [] { return 1; }), 1);
    EXPECT_EQ(first.once("a", [] { return 2; }), 1);
    EXPECT_THROW(Ledger(folder, identity), Error);
    EXPECT_THROW(Ledger(folder, identity, /*shared=*/true), Error);
  }
  EXPECT_EQ(Ledger(folder, identity).find("a"), 1);
  EXPECT_THROW(Ledger(folder, Json{{"recipe", 2}}), Error);
}

TEST_F(LedgerTest, ARunThatLeftNothingHasNotBegun) {
  const Json mended = {{"recipe", 2}};
  { Ledger failed(folder, identity); }
  { Ledger again(folder, mended); }
  EXPECT_THROW(Ledger(folder, identity, /*shared=*/true), Error);
  std::filesystem::create_directory(folder + "/checkpoints");
  EXPECT_THROW(Ledger(folder, identity), Error);
  EXPECT_EQ(Ledger(folder, mended).once("a", [] { return 1; }), 1);
}

// Two openings stand for two processes: each key is computed once, both see all results, and work is shared out.
TEST_F(LedgerTest, SharedByManyEachKeyIsComputedOnce) {
  Ledger a(folder, identity, true), b(folder, identity, true);
  EXPECT_THROW(Ledger(folder, identity), Error);
  EXPECT_EQ(a.once("x", [] { return 1; }), 1);
  EXPECT_EQ(b.once("x", [] { return 2; }), 1);
  EXPECT_EQ(b.once("y", [] { return 3; }), 3);
  EXPECT_EQ(a.once("y", [] { return 4; }), 3);

  bool skipped = false;
  a.once("slow", [&] {
    b.once_if_free("slow", [] { return 6; });
    skipped = !b.has("slow");
    b.once_if_free("other", [] { return 7; });
    return 5;
  });
  EXPECT_TRUE(skipped);
  EXPECT_EQ(b.once("slow", [] { return 8; }), 5);
  EXPECT_EQ(a.once("other", [] { return 9; }), 7);
  EXPECT_EQ(read_json(folder + "/ledger.json")["results"].size(), 4);

  std::thread waiting;
  a.once("held", [&] {
    waiting = std::thread([&] { EXPECT_EQ(b.once("held", [] { return 11; }), 10); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return 10;
  });
  waiting.join();
}

}  // namespace
}  // namespace jet
