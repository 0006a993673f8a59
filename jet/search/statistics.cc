#include "jet/search/statistics.h"

#include <algorithm>
#include <cmath>

namespace jet {

Spread spread(const std::vector<double>& x) {
  Spread s;
  const auto n = static_cast<double>(x.size());
  for (double v : x) s.mean += v / n;
  if (x.size() < 2) return s;
  for (double v : x) s.sd += (v - s.mean) * (v - s.mean) / (n - 1);
  s.sd = std::sqrt(s.sd);
  return s;
}

namespace {

std::vector<double> ranks(const std::vector<double>& x) {
  std::vector<double> out;
  for (double v : x) {
    const auto below = std::count_if(x.begin(), x.end(), [&](double o) { return o < v; });
    const auto equal = std::count(x.begin(), x.end(), v);
    out.push_back(static_cast<double>(below) + (static_cast<double>(equal) - 1) / 2);
  }
  return out;
}

}  // namespace

double spearman(const std::vector<double>& x, const std::vector<double>& y) {
  const auto a = ranks(x), b = ranks(y);
  const double ma = spread(a).mean, mb = spread(b).mean;
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb), aa += (a[i] - ma) * (a[i] - ma), bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace jet
