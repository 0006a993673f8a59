#include "jet/search/path_sampling.h"

#include <algorithm>

#include "jet/base/rng.h"

namespace jet {

namespace {

LayerSet drawn_once(Rng& rng, std::vector<int> all, int count) {
  LayerSet out;
  for (int i = 0; i < count; ++i) {
    std::swap(all[i], all[i + static_cast<int>(rng.below(all.size() - i))]);
    out.insert(all[i]);
  }
  return out;
}

// Uniform in [from, to].
int between(Rng& rng, int from, int to) { return from + static_cast<int>(rng.below(to - from + 1)); }

LayerSet half(Rng& rng, const std::vector<int>& allowed) {
  LayerSet out;
  for (auto full = rng.below(allowed.size() / 2 + 1); full > 0; --full) out.insert(allowed[rng.below(allowed.size())]);
  return out;
}

}  // namespace

const std::vector<std::string>& path_samplings() {
  static const std::vector<std::string> all = {"half", "uniform", "budget"};
  return all;
}

LayerSet sampled_layers(const std::string& sampling, const std::vector<int>& allowed, int k, uint64_t seed,
                        int64_t step) {
  Rng rng(seed, "path " + std::to_string(step));
  const auto last = static_cast<int>(allowed.size()) - 1;
  if (sampling == "half") return half(rng, allowed);
  if (sampling == "budget") {
    const int most = last, around = std::max(1, k / 2);
    return drawn_once(rng, allowed, between(rng, std::min(most, std::max(0, k - around)), std::min(most, k + around)));
  }
  require(sampling == "uniform", "unknown paths '{}'", sampling);
  if (step % 4 == 0) return drawn_once(rng, allowed, step % 8 == 0 ? 0 : last);
  return drawn_once(rng, allowed, between(rng, 0, last));
}

}  // namespace jet
