#include <cmath>
#include <numbers>

#include "jet/blocks/op_set.h"

namespace jet {

std::vector<double> Rope::frequencies(int dim) const {
  std::vector<double> f(dim / 2);
  for (int i = 0; i < dim / 2; ++i) {
    f[i] = std::pow(theta, -2.0 * i / dim);
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

void Rope::check(const std::string& where) const {
  require(theta > 0, "{}: rope theta {} is not positive", where, theta);
  require(factor > 0, "{}: rope factor {} is not positive", where, factor);
  require(low_freq_factor > 0 && high_freq_factor > low_freq_factor && original_context > 0,
          "{}: rope: low_freq_factor {}, high_freq_factor {}, original context {} must be positive and ascend", where,
          low_freq_factor, high_freq_factor, original_context);
}

}  // namespace jet
