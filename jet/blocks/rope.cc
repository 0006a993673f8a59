#include <cmath>
#include <numbers>

#include "jet/blocks/op_set.h"

namespace jet {

std::vector<double> Rope::frequencies(int dim) const {
  std::vector<double> f(dim / 2);
  for (int i = 0; i < dim / 2; ++i) {
    f[i] = std::pow(theta, -2.0 * i / dim) / (divide ? divide->at(i) : 1);
    if (factor == 1) continue;
    const double wavelength = 2 * std::numbers::pi / f[i];
    const double low = original_context / low_freq_factor, high = original_context / high_freq_factor;
    const double smooth = (original_context / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
    if (wavelength > low) {
      f[i] /= factor;
    } else if (wavelength > high) {
      f[i] = (1 - smooth) * f[i] / factor + smooth * f[i];
    }
  }
  return f;
}

void Rope::check(int dim, const std::string& where) const {
  const int n = turning(dim);
  require(n > 0 && n <= dim && n % 2 == 0, "{}: rope dims {} is not an even number of the head's {} channels", where, n,
          dim);
  const auto positive = [&](const char* key, double value) {
    require(value > 0 && std::isfinite(value), "{}: rope {} {} is not positive", where, key, value);
  };
  positive("magnitude", magnitude.value_or(1));
  if (divide) {
    require(static_cast<int>(divide->size()) == n / 2, "{}: rope divide has {} numbers, {} channels that turn take {}",
            where, divide->size(), n, n / 2);
    for (const double d : *divide) positive("divide", d);
  }
  require(theta > 0, "{}: rope theta {} is not positive", where, theta);
  require(factor > 0, "{}: rope factor {} is not positive", where, factor);
  require(low_freq_factor > 0 && high_freq_factor > low_freq_factor && original_context > 0,
          "{}: rope: low_freq_factor {}, high_freq_factor {}, original context {} must be positive and ascend", where,
          low_freq_factor, high_freq_factor, original_context);
}

}  // namespace jet
