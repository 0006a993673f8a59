#include "jet/engine/cpu/row_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "jet/base/error.h"
#include "jet/base/rng.h"

namespace jet {
namespace {

constexpr int64_t kHeads = 2, kDim = 3;
using Ids = std::vector<int>;

/// The rows of tokens, which tell their ids.
std::vector<float> rows_of(const Ids& ids, size_t begin, size_t end) {
  std::vector<float> rows;
  for (int64_t h = 0; h < kHeads; ++h)
    for (size_t t = begin; t < end; ++t)
      for (int64_t c = 0; c < kDim; ++c) rows.push_back(static_cast<float>(100 * ids[t] + 10 * h + c));
  return rows;
}

/// A store and the ids of all tokens that it should know, those before its first row too.
struct Known {
  RowStore store;
  Ids ids;
  int64_t window = 0, sinks = 0;

  void add(const Ids& fresh) {
    ids.insert(ids.end(), fresh.begin(), fresh.end());
    const auto rows = rows_of(ids, ids.size() - fresh.size(), ids.size());
    store.append({reinterpret_cast<const std::byte*>(rows.data()), nullptr, std::ssize(fresh)});
  }

  /// By hand: the first `sinks` and the last others, oldest first.
  void expect_kept() const {
    const int64_t total = store.total();
    ASSERT_EQ(total, std::ssize(ids));
    const bool full = window > 0 && total > window;
    const int64_t first = full ? sinks : 0, from = full ? total - (window - sinks) : store.begin();
    const StateCopy copy = store.copy();
    ASSERT_EQ(copy.count, first + total - from);
    ASSERT_EQ(store.kept(), copy.count);
    std::vector<float> got(copy.numbers.size() / sizeof(float)), expected;
    if (!got.empty()) std::memcpy(got.data(), copy.numbers.data(), copy.numbers.size());
    const auto early = rows_of(ids, 0, first), late = rows_of(ids, from, total);
    for (int64_t h = 0; h < kHeads; ++h)
      for (const auto* part : {&early, &late}) {
        const int64_t size = std::ssize(*part) / kHeads;
        expected.insert(expected.end(), part->begin() + h * size, part->begin() + (h + 1) * size);
      }
    EXPECT_EQ(got, expected) << total;
    store.for_ranges(total / 3, total, [&](const RowStore::Range& r) {
      const auto* row = reinterpret_cast<const float*>(store.block(r.block).numbers(1, r.at));
      EXPECT_EQ(row[0], static_cast<float>(100 * ids[r.row] + 10));
    });
  }
};

Known known(int64_t window = 0, int64_t sinks = 0, int64_t begin = 0) {
  return {RowStore(DType::f32, kHeads, kDim, window, sinks, begin), Ids(begin), window, sinks};
}

Ids some(Rng& rng, uint64_t most) {
  Ids ids(1 + rng.below(most));
  for (int& id : ids) id = static_cast<int>(rng.below(1000));
  return ids;
}

TEST(RowStore, KeepsTheFirstRowsAndTheLast) {
  Rng rng(1, "rows");
  for (const int64_t sinks : {0, 1, 4, 20})
    for (const int64_t own : {1, 5, 33}) {
      const int64_t window = sinks + own;
      Known k = known(window, sinks);
      while (k.store.total() < 4 * window + 200) {
        const int64_t passed = k.store.total();
        k.add(some(rng, static_cast<uint64_t>(2 * window)));
        k.expect_kept();
        for (int64_t total = passed; total <= k.store.total(); ++total) {  // on the way to here
          Known earlier{k.store.before(total), Ids(k.ids.begin(), k.ids.begin() + total), window, sinks};
          earlier.expect_kept();
          earlier.add(some(rng, 3));
          earlier.expect_kept();
        }
        k.expect_kept();
        Known again = known(window, sinks), copied = k;
        const StateCopy kept = k.store.copy();
        again.ids = k.ids;
        again.store.restore(k.store.total(), kept.block());
        for (Known* s : {&again, &copied}) {
          s->expect_kept();
          s->add(some(rng, 3));
          s->expect_kept();
        }
        k.expect_kept();
      }
    }
}

/// The memory of these stores, blocks that several hold counted once.
int64_t held(std::initializer_list<const RowStore*> stores) {
  std::set<const RowBlock*> seen;
  int64_t bytes = 0;
  for (const RowStore* s : stores) {
    for (const auto& block : s->blocks())
      if (seen.insert(block.get()).second) bytes += block->bytes();
  }
  return bytes;
}

/// Copies, cuts and runs of stores at random: what one appends, no other sees.
TEST(RowStore, SharedBlocksStayAsEachSeesThem) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Rng rng(seed, "shared rows");
    const bool window = seed % 4 == 3;
    std::vector<Known> all{window ? known(37, 3) : known()};
    const auto any = [&]() -> Known& { return all[rng.below(all.size())]; };
    const auto replace_or_add = [&](Known k) {
      if (all.size() < 6)
        all.push_back(std::move(k));
      else
        any() = std::move(k);
    };
    for (int step = 0; step < 160; ++step) {
      Known& k = any();
      switch (rng.below(window ? 3 : 6)) {
        case 0:
        case 1: k.add(some(rng, step % 3 == 0 ? 400 : 9)); break;
        case 2: replace_or_add(k); break;
        case 3: {  // as after guessed tokens that were wrong
          const int64_t cut = k.store.begin() + static_cast<int64_t>(rng.below(k.ids.size() - k.store.begin() + 1));
          k.store.reset(cut);
          k.ids.resize(cut);
          break;
        }
        case 4: {  // as the prefix cache: a sequence out of the runs of others
          const int64_t cut = static_cast<int64_t>(rng.below(k.ids.size() + 1));
          Known made = known();
          made.store.append(k.store.run(0, cut));
          made.store.append(k.store.run(cut, k.store.total()));
          made.ids = k.ids;
          replace_or_add(std::move(made));
          break;
        }
        default: {  // as from a file: a run that lacks the rows before, after a sequence that has them
          const int64_t cut = static_cast<int64_t>(rng.below(k.ids.size() + 1));
          Known made = known(), part = known(0, 0, cut);
          made.store.append(k.store.run(0, cut));
          part.add({k.ids.begin() + cut, k.ids.end()});
          part.expect_kept();
          EXPECT_GE(held({&part.store}), part.store.kept() * part.store.row_bytes());
          made.store.append(part.store);
          made.ids = k.ids;
          replace_or_add(std::move(made));
        }
      }
      for (const Known& other : all) other.expect_kept();
    }
  }
}

TEST(RowStore, DropsWhatAWindowLeft) {
  Known k = known(100, 4);
  for (int i = 0; i < 5000; ++i) k.add({i % 1000});
  const int64_t blocks = 4 + 3 * RowStore::kWindowBlockRows;  // the window's, and one more where it lies across them
  EXPECT_LE(held({&k.store}), blocks * k.store.row_bytes());
  const RowStore early = k.store.before(5000);
  k.add({1});
  EXPECT_THROW(k.store.before(4800), Error);
  EXPECT_EQ(early.total(), 5000);
}

/// Memory is held once, and of a copy that goes on only the block in which it does so is new.
TEST(RowStore, CopiesHoldTheSameBlocks) {
  Rng rng(7, "rows");
  Known a = known();
  while (a.store.total() < 5 * RowStore::kBlockRows) a.add(some(rng, 50));
  Known b = a;
  const auto same = [&](size_t i) { return &a.store.block(i) == &b.store.block(i); };
  const auto last = static_cast<size_t>(a.store.total() / RowStore::kBlockRows);
  a.add({1});
  EXPECT_TRUE(same(last));  // written behind what b sees
  b.add({2});
  EXPECT_FALSE(same(last));
  for (size_t i = 0; i < last; ++i) EXPECT_TRUE(same(i));
  // Runs that follow one another hold the block between them once.
  const int64_t cut = 2 * RowStore::kBlockRows + 10, end = 4 * RowStore::kBlockRows;
  const RowStore first = a.store.run(0, cut), rest = a.store.run(cut, end);
  const int64_t parts = held({&first, &rest});
  EXPECT_GE(parts, end * a.store.row_bytes());
  EXPECT_LT(parts, (end + RowStore::kBlockRows) * a.store.row_bytes());
}

}  // namespace
}  // namespace jet
