// Counter-based random numbers (splitmix64): a stream is named by a seed and a label, so that every draw of a run can
// be made again without the draws before it. No state outside the object; the same numbers on every machine.
//
//   stream   s = mix(seed), then s = mix(s xor c) for every byte c of the label
//   draw i   mix((s + i) * odd + 1)                                 mix: splitmix64's
//   uniform  the upper 53 bits of a draw, times 2^-53               normal: Box-Muller, from two of them
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace jet {

inline uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

inline uint64_t hash64(std::string_view text, uint64_t seed = 0) {
  uint64_t h = mix64(seed);
  for (unsigned char c : text) h = mix64(h ^ c);
  return h;
}

class Rng {
 public:
  explicit Rng(uint64_t seed, std::string_view label = {}) : state_(hash64(label, seed)) {}

  uint64_t next() { return mix64(state_++ * 0xd1342543de82ef95ull + 1); }
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// Uniform in [0, n), n > 0.
  uint64_t below(uint64_t n) { return static_cast<uint64_t>(uniform() * static_cast<double>(n)); }
  /// Standard normal (Box-Muller).
  double normal() {
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }

 private:
  uint64_t state_;
};

}  // namespace jet
