// Shapes: a short list of sizes, outermost first.
#pragma once

#include <fmt/ranges.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace jet {

using Shape = std::vector<int64_t>;

inline int64_t numel(const Shape& s) { return std::accumulate(s.begin(), s.end(), int64_t{1}, std::multiplies<>()); }
inline std::string to_string(const Shape& s) { return fmt::format("[{}]", fmt::join(s, ", ")); }

}  // namespace jet
