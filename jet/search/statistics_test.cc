#include "jet/search/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace jet {
namespace {

TEST(Statistics, Spread) {
  EXPECT_DOUBLE_EQ(spread({2, 4, 4, 4, 5, 5, 7, 9}).mean, 5);
  EXPECT_NEAR(spread({2, 4, 4, 4, 5, 5, 7, 9}).sd, std::sqrt(32.0 / 7), 1e-12);
  EXPECT_DOUBLE_EQ(spread({3}).sd, 0);
}

TEST(Statistics, Spearman) {
  EXPECT_NEAR(spearman({1, 2, 3, 4}, {10, 20, 30, 1000}), 1, 1e-12);
  EXPECT_NEAR(spearman({1, 2, 3, 4}, {4, 3, 2, 1}), -1, 1e-12);
  // scipy.stats.spearmanr([106, 100, 86, 101, 99, 103, 97, 113, 112, 110], [7, 27, 2, 50, 28, 29, 20, 12, 6, 17])
  EXPECT_NEAR(spearman({106, 100, 86, 101, 99, 103, 97, 113, 112, 110}, {7, 27, 2, 50, 28, 29, 20, 12, 6, 17}),
              -0.17575757575757575, 1e-12);
  EXPECT_NEAR(spearman({1, 1, 2, 3}, {1, 2, 3, 4}), 0.9486832980505138, 1e-12);  // ties share their mean rank
  EXPECT_TRUE(std::isnan(spearman({1, 1, 1}, {1, 2, 3})));
}

}  // namespace
}  // namespace jet
