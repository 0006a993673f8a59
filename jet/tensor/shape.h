// Shapes: a short list of sizes, outermost first.
#pragma once

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "jet/base/error.h"

namespace jet {

using Shape = std::vector<int64_t>;

inline int64_t numel(const Shape& s) { return std::accumulate(s.begin(), s.end(), int64_t{1}, std::multiplies<>()); }
inline std::string to_string(const Shape& s) { return fmt::format("[{}]", fmt::join(s, ", ")); }

/// The shape of an elementwise function of both: trailing dimensions against each other, sizes of 1 stretch (as numpy).
/// Throws Error where they do not fit.
inline Shape broadcast(const Shape& a, const Shape& b) {
  Shape s = a;
  if (b.size() > a.size()) s.insert(s.begin(), b.size() - a.size(), 1);
  for (size_t i = 1; i <= b.size(); ++i) {
    int64_t& size = s[s.size() - i];
    const int64_t other = b[b.size() - i];
    require(size == other || size == 1 || other == 1, "shapes {} and {} do not broadcast", to_string(a), to_string(b));
    size = std::max(size, other);
  }
  return s;
}

}  // namespace jet
