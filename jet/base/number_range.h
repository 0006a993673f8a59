// What a number of a settings table may be, said once, beside its key in the table's list of fields (json.h):
//
//   v("lr", c.lr, above(0)), v("warmup", c.warmup, share_below_one())
//
// A list's range is that of each of its numbers. No number is infinite or NaN, and every range has an upper end: no
// product of sizes leaves its type.
#pragma once

#include <string>

#include <fmt/format.h>

namespace jet {

struct NumberRange {
  double low = 0, high = 1e9;
  bool without_low = false, without_high = false;
  const char* hint = "";  // what else the error says

  /// False for NaN.
  bool holds(double x) const { return (without_low ? x > low : x >= low) && (without_high ? x < high : x <= high); }
  /// "[1, 1e+09]", "(0, 1)".
  std::string text() const {
    return fmt::format("{}{:g}, {:g}{}", without_low ? '(' : '[', low, high, without_high ? ')' : ']');
  }
  NumberRange with(const char* said) const { return {low, high, without_low, without_high, said}; }
};

constexpr NumberRange at_least(double low, double high = 1e9) { return {low, high}; }
constexpr NumberRange above(double low, double high = 1e9) { return {low, high, true}; }
/// [0, 1].
constexpr NumberRange share() { return {0, 1}; }
/// [0, 1).
constexpr NumberRange share_below_one() { return {0, 1, false, true}; }

}  // namespace jet
