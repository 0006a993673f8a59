// First values of parameters, one number at a time; `normal` makes a standard normal from the stream.
#pragma once

#include <algorithm>
#include <cmath>

#include "jet/base/rng.h"
#include "jet/blocks/block.h"

namespace jet {

/// The number at flat `index` of a parameter.
template <class Normal>
double init_value(const ParamSpec& p, int64_t index, Rng& rng, Normal&& normal) {
  const Init& init = p.init;
  switch (init.kind) {
    case Init::fan_in: return init.a / std::sqrt(static_cast<double>(p.shape.back())) * normal(rng);
    case Init::normal: return init.a * normal(rng);
    case Init::constant: return init.a;
    case Init::decay_log: return std::log(std::max(init.a + (init.b - init.a) * rng.uniform(), 1e-3));
    case Init::softplus_inverse: {
      const double y = std::exp(std::log(init.a) + (std::log(init.b) - std::log(init.a)) * rng.uniform());
      return y + std::log(-std::expm1(-y));
    }
    case Init::last_tap: {
      const auto width = static_cast<int64_t>(init.a);
      return (index % width == width - 1 ? 1.0 : 0.0) + 0.02 * normal(rng);
    }
  }
  return 0;
}

}  // namespace jet
