#include "jet/engine/cpu/cpu_state.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "jet/base/rng.h"

namespace jet {
namespace {

constexpr int64_t kHeads = 2, kDim = 3;

/// Rows of tokens [begin, end), each of its own number.
std::vector<float> rows_of(int64_t begin, int64_t end) {
  std::vector<float> rows;
  for (int64_t h = 0; h < kHeads; ++h)
    for (int64_t t = begin; t < end; ++t)
      for (int64_t c = 0; c < kDim; ++c) rows.push_back(static_cast<float>(100 * t + 10 * h + c));
  return rows;
}

void add(RowStore& store, int64_t n) {
  const auto rows = rows_of(store.total(), store.total() + n);
  store.append({reinterpret_cast<const std::byte*>(rows.data()), nullptr, n});
}

/// By hand: the first `sinks` and the last others, oldest first.
void expect_kept(const RowStore& store, int64_t window, int64_t sinks) {
  const int64_t total = store.total(), first = total > window ? sinks : 0;
  const int64_t from = total > window ? total - (window - sinks) : 0;
  const StateCopy copy = store.copy();
  ASSERT_EQ(copy.count, first + total - from);
  const auto* got = reinterpret_cast<const float*>(copy.numbers.data());
  const auto early = rows_of(0, first), late = rows_of(from, total);
  for (int64_t h = 0; h < kHeads; ++h)
    for (const auto& [rows, count] : {std::pair{early.data(), first}, std::pair{late.data(), total - from}}) {
      EXPECT_TRUE(std::equal(got, got + count * kDim, rows + h * count * kDim)) << total;
      got += count * kDim;
    }
  RowStore::Range ranges[RowStore::kRanges];
  const int n = store.ranges(ranges);
  for (int i = 0; i < n; ++i) {
    const auto* row = reinterpret_cast<const float*>(store.numbers(1, ranges[i].begin));
    EXPECT_EQ(row[0], static_cast<float>(100 * ranges[i].position + 10));
  }
}

TEST(RowStore, KeepsTheFirstRowsAndTheLast) {
  Rng rng(1, "rows");
  for (const int64_t sinks : {0, 1, 4, 20})
    for (const int64_t own : {1, 5, 33}) {
      const int64_t window = sinks + own;
      RowStore store(DType::f32, kHeads, kDim, window, sinks);
      while (store.total() < 4 * window + 40) {
        add(store, 1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(2 * window))));
        expect_kept(store, window, sinks);
        RowStore again(DType::f32, kHeads, kDim, window, sinks), copied = store;
        const StateCopy kept = store.copy();
        again.restore(store.total(), kept.block());
        for (RowStore* s : {&again, &copied}) {
          expect_kept(*s, window, sinks);
          add(*s, 3);
          expect_kept(*s, window, sinks);
        }
      }
    }
}

}  // namespace
}  // namespace jet
