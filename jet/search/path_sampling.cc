#include "jet/search/path_sampling.h"

#include <algorithm>

#include "jet/base/rng.h"

namespace jet {

namespace {

LayerSet drawn_once(Rng& rng, int layers, int count) {
  auto all = all_layers(layers);
  LayerSet out;
  for (int i = 0; i < count; ++i) {
    std::swap(all[i], all[i + static_cast<int>(rng.below(layers - i))]);
    out.insert(all[i]);
  }
  return out;
}

// Uniform in [from, to].
int between(Rng& rng, int from, int to) { return from + static_cast<int>(rng.below(to - from + 1)); }

LayerSet half(Rng& rng, int layers) {
  LayerSet out;
  for (auto full = rng.below(layers / 2 + 1); full > 0; --full) out.insert(static_cast<int>(rng.below(layers)));
  return out;
}

}  // namespace

const std::vector<std::string>& path_samplings() {
  static const std::vector<std::string> all = {"half", "uniform", "budget"};
  return all;
}

LayerSet sampled_layers(const std::string& sampling, int layers, int k, uint64_t seed, int64_t step) {
  Rng rng(seed, "path " + std::to_string(step));
  if (sampling == "half") return half(rng, layers);
  if (sampling == "budget") {
    const int most = layers - 1, around = std::max(1, k / 2);
    return drawn_once(rng, layers, between(rng, std::min(most, std::max(0, k - around)), std::min(most, k + around)));
  }
  require(sampling == "uniform", "unknown paths '{}'", sampling);
  if (step % 4 == 0) return drawn_once(rng, layers, step % 8 == 0 ? 0 : layers - 1);
  return drawn_once(rng, layers, between(rng, 0, layers - 1));
}

}  // namespace jet
