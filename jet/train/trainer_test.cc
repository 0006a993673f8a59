#include "jet/train/trainer.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/error.h"

namespace jet {
namespace {

// Regression of rows that are functions of (step, row); the loss of a batch is the mean over its rows.
struct Regression {
  TrainConfig config{.tokens = 7 * 40, .batch = 5, .length = 8, .lr = 0.05};
  at::Tensor weight = at::linspace(-1, 1, 6).view({2, 3}).clone();
  int calls = 0, stop_after = -1;

  TrainJob job(const std::string& checkpoint = "") {
    return {"test", checkpoint, config, {{"weight", weight}}, [this](const Part& p) {
              if (calls++ == stop_after) fail("stopped");
              at::Tensor sum = at::zeros({});
              for (int row = p.from; row < p.from + p.rows; ++row) {
                const at::Tensor x = at::sin(at::arange(3) * (1.0 + row) + static_cast<double>(p.step));
                sum = sum + (at::matmul(weight, x) - x.sum()).square().sum();
              }
              return sum / config.batch;
            }};
  }
};

TEST(Trainer, PartsCoverABatchEvenly) {
  for (int batch : {1, 5, 8}) {
    for (int n = 1; n <= batch; ++n) {
      int next = 0;
      for (const Part& p : parts_of(3, batch, n)) {
        EXPECT_EQ(p.step, 3);
        EXPECT_EQ(p.from, next);
        EXPECT_GE(p.rows, batch / n);
        EXPECT_LE(p.rows, batch / n + 1);
        next += p.rows;
      }
      EXPECT_EQ(next, batch);
    }
  }
  EXPECT_THROW(parts_of(0, 2, 3), Error);
  EXPECT_THROW(parts_of(0, 2, 0), Error);
}

TEST(Trainer, ChunksCoverAPartInOrder) {
  const Part rows{3, 2, 4};
  EXPECT_EQ(chunks_of(rows, 10, 0).size(), 1u);
  EXPECT_EQ(chunks_of(rows, 10, 0)[0].carried, nullptr);
  const auto chunks = chunks_of(rows, 10, 4);
  ASSERT_EQ(chunks.size(), 3u);
  int next = 0;
  for (const Part& p : chunks) {
    EXPECT_TRUE(p.step == 3 && p.from == 2 && p.rows == 4);
    EXPECT_EQ(p.begin, next);
    EXPECT_NE(p.carried, nullptr);
    EXPECT_EQ(p.carried, chunks[0].carried);
    next += p.tokens;
  }
  EXPECT_EQ(next, 10);
  EXPECT_NE(chunks_of(rows, 10, 4)[0].carried, chunks[0].carried);  // other rows carry their own
}

TEST(Trainer, AccumulatedPartsTrainAsTheWholeBatch) {
  Regression whole;
  const TrainResult want = train(whole.job());
  EXPECT_LT(want.curve.back().second, want.curve.front().second);
  for (int parts : {2, 3, 5}) {
    Regression cut;
    cut.config.accumulate = parts;
    const TrainResult got = train(cut.job());
    EXPECT_EQ(cut.calls, whole.calls * parts);
    EXPECT_LT((cut.weight - whole.weight).abs().max().item<double>(), 1e-6);
    EXPECT_NEAR(got.last_loss(), want.last_loss(), 1e-6);
  }
}

TEST(Trainer, StateOnDiskTrainsAsStateInMemory) {
  const std::string file = testing::TempDir() + "jet_trainer_on_disk.safetensors";
  std::remove(file.c_str());
  Regression memory, disk;
  memory.config.accumulate = disk.config.accumulate = 2;
  disk.config.on_disk = true;
  train(memory.job());
  train(disk.job(file));
  EXPECT_TRUE(at::equal(disk.weight, memory.weight));
  EXPECT_TRUE(std::filesystem::is_empty(file + ".scratch"));
  std::filesystem::remove_all(file + ".scratch");
  std::remove(file.c_str());
}

TEST(Trainer, AFinishedCheckpointIsReadAndAnotherConfigRefused) {
  const std::string file = testing::TempDir() + "jet_trainer_checkpoint.safetensors";
  std::remove(file.c_str());
  Regression first;
  train(first.job(file));
  Regression again;
  const TrainResult r = train(again.job(file));
  EXPECT_EQ(again.calls, 0);
  EXPECT_EQ(r.tokens, again.config.tokens);
  EXPECT_TRUE(at::equal(again.weight, first.weight));
  Regression other;
  other.config.accumulate = 2;
  EXPECT_THROW(train(other.job(file)), Error);
  std::remove(file.c_str());
}

TEST(Trainer, ALossThatIsNotFiniteEndsTheTraining) {
  for (const int from : {0, 3}) {
    Regression p;
    TrainJob job = p.job();
    job.loss = [loss = job.loss, from](const Part& part) { return part.step < from ? loss(part) : loss(part) * NAN; };
    const TrainResult r = train_or_diverge(job);
    EXPECT_TRUE(r.diverged);
    EXPECT_EQ(r.tokens, from * p.config.tokens_per_step());
    EXPECT_TRUE(p.weight.isfinite().all().item<bool>());
    EXPECT_THROW(train(job), Error);
  }
}

TEST(Trainer, NoTokensAreNothingToTrain) {
  Regression p;
  p.config.tokens = 0;
  EXPECT_EQ(p.config.steps(), 0);
  EXPECT_THROW(train(p.job()), Error);
  p.config.tokens = 1;
  EXPECT_EQ(p.config.steps(), 1);
}

}  // namespace
}  // namespace jet
