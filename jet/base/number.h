// Numbers that a person wrote, on a command line or in the environment: decimal, whole, and within a range.
#pragma once

#include <charconv>
#include <string>
#include <type_traits>

#include "jet/base/error.h"

namespace jet {

/// `text` as a decimal number from `least` to `most` (no NaN, nothing behind it); throws Error where it is none. `what`
/// names it: "--threads", "JET_THREADS".
template <class N>
N read_number(const std::string& what, const std::string& text, N least, N most) {
  N n{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, n);
  const bool good = error == std::errc() && stop == end && n >= least && n <= most;
  require(good, "{}: '{}' is no {} from {} to {}", what, text, std::is_integral_v<N> ? "whole number" : "number", least,
          most);
  return n;
}

}  // namespace jet
