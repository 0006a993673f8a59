// What packed documents and carried states mean, for every block: a document in a row is the document alone, and rows
// in chunks are whole rows whose gradient ends at the chunks' borders.
#include "jet/train/documents.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "jet/train/distill.h"
#include "jet/train/test_hybrid.h"

namespace jet {
namespace {

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).norm().item<double>() / (b.norm().item<double>() + 1e-12);
}

at::Tensor some_ids(int64_t rows, int64_t length) { return (at::arange(rows * length) * 17 % 61).view({rows, length}); }

struct Pass {
  std::vector<at::Tensor> hidden;  // of the documents, or chunks
  NamedTensors grads;              // of the sum of a function of all of them
};

// The model's parameters get gradients of their own.
template <class Run>
Pass pass(TorchModel m, const Run& run) {
  Pass p;
  p.grads = own_parameters(m);
  for (auto& [name, t] : p.grads) t.requires_grad_(true);
  run(m, [&](const at::Tensor& hidden, bool back) {
    p.hidden.push_back(hidden.detach());
    const at::Tensor loss = hidden.sin().sum();
    if (back) loss.backward();
    return loss;
  });
  for (auto& [name, t] : p.grads) t = t.grad().defined() ? t.grad() : at::zeros_like(t);
  return p;
}

void expect_same(const Pass& got, const Pass& want, const std::string& what) {
  ASSERT_EQ(got.hidden.size(), want.hidden.size()) << what;
  for (size_t i = 0; i < want.hidden.size(); ++i)
    EXPECT_LT(relative_difference(got.hidden[i], want.hidden[i]), 1e-4) << what << ": " << i;
  for (size_t i = 0; i < want.grads.size(); ++i) {
    const auto& [name, t] = want.grads[i];
    EXPECT_LT((got.grads[i].second - t).norm().item<double>(), 3e-4 * t.norm().item<double>() + 1e-5)
        << what << ": " << name;
  }
}

struct Extent {
  int64_t row, begin, size;
};

TEST(Documents, AreRunAsIfEachWereAlone) {
  const int64_t rows = 3, length = 67;
  // One token, a class of lengths twice, whole rows, borders of chunks of 16 and 32.
  const std::vector<Extent> extents = {{0, 0, 1},  {0, 1, 32}, {0, 33, 5}, {0, 38, 29},
                                       {1, 0, 67}, {2, 0, 17}, {2, 17, 50}};
  std::vector<uint8_t> starts(rows * length);
  for (const Extent& e : extents) starts[e.row * length + e.begin] = e.begin > 0;  // a row's first need not say so
  const auto documents = std::make_shared<const Documents>(starts, rows, length);
  const at::Tensor ids = some_ids(rows, length);
  BlockList::for_each([&]<class Block>() {
    const TorchModel m = TorchModel::random(test_hybrid(Block::kind, 16), 3);
    const Pass want = pass(m, [&](TorchModel& own, const auto& see) {
      TorchOps ops;
      for (const Extent& e : extents) {
        const at::Tensor alone = ids.narrow(0, e.row, 1).narrow(1, e.begin, e.size);
        see(forward_with(ops, own, alone, own_mixers(ops, own)), true);
      }
    });
    for (const bool recompute : {false, true}) {
      const Pass got = pass(m, [&](TorchModel& own, const auto& see) {
        TorchOps ops;
        ops.recompute = recompute;
        const at::Tensor hidden = forward_with(ops, own, {ids, documents}, own_mixers(ops, own));
        at::Tensor sum = at::zeros({});
        for (const Extent& e : extents) sum = sum + see(hidden.narrow(0, e.row, 1).narrow(1, e.begin, e.size), false);
        sum.backward();
      });
      expect_same(got, want, fmt::format("{}{}", Block::kind, recompute ? ", recomputed" : ""));
    }
  });
}

TEST(Documents, MarksMustFitTheRows) {
  const std::vector<uint8_t> starts(10);
  EXPECT_THROW(Documents(starts, 2, 4), Error);
}

TEST(CarriedStates, ChunksAreTheWholeRows) {
  const int64_t rows = 2, length = 70;
  const at::Tensor ids = some_ids(rows, length);
  BlockList::for_each([&]<class Block>() {
    const TorchModel m = TorchModel::random(test_hybrid(Block::kind, 16), 3);
    const at::NoGradGuard no_grad;
    TorchOps whole;
    const at::Tensor want = forward_with(whole, m, ids, own_mixers(whole, m));
    for (const int64_t chunk : {int64_t{1}, int64_t{7}, int64_t{33}, length}) {
      TorchOps ops;
      const auto states = std::make_shared<CarriedStates>();
      std::vector<at::Tensor> hidden;
      for (int64_t begin = 0; begin < length; begin += chunk) {
        const at::Tensor part = ids.narrow(1, begin, std::min(chunk, length - begin));
        hidden.push_back(forward_with(ops, m, {part, nullptr, begin}, own_mixers(ops, m, states)));
      }
      EXPECT_LT(relative_difference(at::cat(hidden, 1), want), 1e-4) << Block::kind << ", " << chunk;
    }
  });
}

TEST(CarriedStates, GradientsEndAtTheBorders) {
  const at::Tensor ids = some_ids(2, 48), first = ids.narrow(1, 0, 19), second = ids.narrow(1, 19, 29);
  BlockList::for_each([&]<class Block>() {
    const TorchModel m = TorchModel::random(test_hybrid(Block::kind, 16), 3);
    const auto both = [&](bool recompute, bool first_again) {
      return pass(m, [&](TorchModel& own, const auto& see) {
        TorchOps ops;
        ops.recompute = recompute;
        auto states = std::make_shared<CarriedStates>();
        see(forward_with(ops, own, first, own_mixers(ops, own, states)), true);
        if (first_again) {  // states that no graph has seen
          const at::NoGradGuard no_grad;
          states = std::make_shared<CarriedStates>();
          forward_with(ops, own, first, own_mixers(ops, own, states));
        }
        see(forward_with(ops, own, {second, nullptr, 19}, own_mixers(ops, own, states)), true);
      });
    };
    const Pass want = both(false, true);
    expect_same(both(false, false), want, Block::kind);
    expect_same(both(true, false), want, std::string(Block::kind) + ", recomputed");
  });
}

}  // namespace
}  // namespace jet
