// A path that goes on from what another one left gives the very numbers of a whole pass.
#include "jet/search/shared_layers.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "jet/train/test_hybrid.h"

namespace jet {
namespace {

// Paths of a base of attention and of a model of `kind`'s layers beside it, on two batches of rows.
struct Net {
  explicit Net(const char* kind)
      : base(TorchModel::random(test_hybrid("attention"), 5)), other(TorchModel::random(test_hybrid(kind), 6)) {
    other.weights.layers[1] = TorchModel::random(test_hybrid(kind, 9), 7).weights.layers[1];
    for (int64_t b = 0; b < 2; ++b) ids.push_back((at::arange(66, at::kLong) * (17 + b) % 61).view({2, 33}));
  }
  MixerFn along(const std::string& path) {
    return [this, path](int l, const at::Tensor& h) { return own_mixers(ops, path[l] == 'F' ? base : other)(l, h); };
  }
  at::Tensor whole(const std::string& path, const at::Tensor& rows) {
    return forward_with(ops, base, rows, along(path));
  }
  at::Tensor shared(SharedLayers& s, const std::string& path, const at::Tensor& rows) {
    return s.hidden(ops, base, path, rows, along(path));
  }
  TorchOps ops;
  TorchModel base, other;
  std::vector<at::Tensor> ids;
};

std::vector<std::string> all_paths() {
  std::vector<std::string> paths;
  for (int bits = 0; bits < 16; ++bits) {
    std::string p(4, 'F');
    for (int l = 0; l < 4; ++l)
      if (bits >> l & 1) p[l] = 'L';
    paths.push_back(p);
  }
  return paths;
}

// rwkv7 hands a value of its first layer on to all others.
TEST(SharedLayers, GiveTheNumbersOfWholePasses) {
  const at::NoGradGuard no_grad;
  for (const char* kind : {"gla", "rwkv7"}) {
    Net net(kind);
    const int64_t tokens = 132, layer = tokens * 40 * 4;
    auto paths = all_paths();
    std::sort(paths.begin(), paths.end());
    paths.insert(paths.end(), {"FLFL", "FLLF", "LLLF", "FFFF"});
    for (const int64_t bytes : {4 * layer, layer}) {
      SharedLayers s(bytes, tokens, net.base.spec);
      for (const auto& path : paths) {
        for (const auto& rows : net.ids)
          ASSERT_TRUE(at::equal(net.shared(s, path, rows), net.whole(path, rows))) << kind << path << bytes;
        EXPECT_LE(s.bytes(), bytes);
      }
      EXPECT_GT(s.bytes(), 0);
      EXPECT_LT(s.take_share(), 0.9);
      s.forget();
      EXPECT_EQ(s.bytes(), 0);
    }
  }
}

TEST(SharedLayers, PathsInOrderMeetEveryBeginningOnce) {
  const at::NoGradGuard no_grad;
  Net net("gla");
  SharedLayers s(1 << 20, 66, net.base.spec);
  auto paths = all_paths();
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) net.shared(s, path, net.ids[0]);
  EXPECT_DOUBLE_EQ(s.take_share(), (2 + 4 + 8 + 16) / 64.0);
  EXPECT_DOUBLE_EQ(s.take_share(), 1) << "nothing was asked";
  SharedLayers none(0, 66, net.base.spec);
  for (const auto& path : paths) net.shared(none, path, net.ids[0]);
  EXPECT_DOUBLE_EQ(none.take_share(), 1);
  EXPECT_EQ(none.expected_share(30), 1);
  EXPECT_NEAR(s.expected_share(30), 0.55, 1e-12);
}

}  // namespace
}  // namespace jet
