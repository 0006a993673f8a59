// Small statistics of repeated runs.
#pragma once

#include <vector>

namespace jet {

struct Spread {
  double mean = 0, sd = 0;  // sd: of the sample (n - 1); 0 for one value
};
Spread spread(const std::vector<double>& x);

/// Spearman's rank correlation, equal values sharing their mean rank; NaN where one side is constant.
double spearman(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace jet
