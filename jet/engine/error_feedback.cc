// A panel's 16 rows lie in lanes: w, e, q and the gradient e H are arrays [cols][16]. Rows do not meet.
#include "jet/engine/error_feedback.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "jet/kernels/kernels.h"
#include "jet/tensor/quant_codes.h"

namespace jet {

namespace {

constexpr int kCols = static_cast<int>(kGroupColumns), kLanes = static_cast<int>(kPanelRows);
constexpr float kRounding = 12582912;  // 1.5 * 2^23: adding it drops the fraction, to the nearest even
constexpr int kSweeps = 4;
using Lanes = float[kLanes];
using GroupLanes = Lanes[kCols];

struct Codes {
  float low, high;
};

float held_scale(float s) { return to_float(to_f16(std::copysign(std::clamp(std::abs(s), 0x1p-24f, 65504.0f), s))); }

double dot(const double* x, const double* y, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

constexpr int64_t kFactorColumns = 64;

/// R in the upper triangle of r, which holds H's: columns from the last to the first, some at a time. False where a
/// pivot is not positive.
bool factorize(std::vector<double>& r, int64_t n, ThreadPool& pool) {
  bool is_positive = true;
  for (int64_t end = n; end > 0 && is_positive; end -= std::min(end, kFactorColumns)) {
    const int64_t begin = std::max<int64_t>(0, end - kFactorColumns);
    const auto row = [&](int64_t i) { return r.data() + i * n; };
    const auto solve = [&](int64_t i) {  // what the columns of this block take from each other
      for (int64_t j = std::min(end, i < begin ? end : i) - 1; j >= begin; --j) {
        row(i)[j] = (row(i)[j] - dot(row(i) + j + 1, row(j) + j + 1, end - j - 1)) / row(j)[j];
      }
    };
    pool.parallel_for(end, 8, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        for (int64_t j = std::max(begin, i); j < end; ++j) row(i)[j] -= dot(row(i) + end, row(j) + end, n - end);
      }
    });
    for (int64_t j = end - 1; j >= begin; --j) {
      const double pivot = row(j)[j] - dot(row(j) + j + 1, row(j) + j + 1, end - j - 1);
      if (!(pivot > 0) || !std::isfinite(pivot)) return false;
      row(j)[j] = std::sqrt(pivot);
      for (int64_t i = begin; i < j; ++i) {
        row(i)[j] = (row(i)[j] - dot(row(i) + j + 1, row(j) + j + 1, end - j - 1)) / row(j)[j];
      }
    }
    pool.parallel_for(begin, 8, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) solve(i);
    });
  }
  return is_positive;
}

}  // namespace

RoundingMetric rounding_metric(std::vector<float> h, int64_t cols, ThreadPool& pool) {
  RoundingMetric m;
  m.cols = cols;
  double mean = 0;
  for (int64_t i = 0; i < cols; ++i) mean += h[i * cols + i] / static_cast<double>(cols);
  if (!(mean > 0) || !std::isfinite(mean)) return m;
  std::vector<double> r(h.size());
  for (double part = 0.01; part <= 1.5; part *= 10) {
    std::copy(h.begin(), h.end(), r.begin());
    for (int64_t i = 0; i < cols; ++i) r[i * cols + i] += part * mean;
    if (!factorize(r, cols, pool)) continue;
    m.damping = part;
    break;
  }
  if (!m.is_usable()) return m;
  m.h = std::move(h), m.a.resize(m.h.size()), m.d.resize(cols);
  for (int64_t i = 0; i < cols; ++i) {
    m.h[i * cols + i] += static_cast<float>(m.damping * mean);
    m.d[i] = static_cast<float>(r[i * cols + i] * r[i * cols + i]);
    for (int64_t j = i + 1; j < cols; ++j) m.a[i * cols + j] = static_cast<float>(r[i * cols + j] / r[j * cols + j]);
  }
  return m;
}

namespace {

/// A part m[k][j] of a matrix, at data + k step + j row.
struct Part {
  const float* data;
  int64_t row, step, k, columns;
};

/// to[j] += sum_k x[k] m[k][j].
void add_products(const Lanes* x, const Part& m, Lanes* to) {
  SmallProduct product{.a = m.data, .row = m.row, .step = m.step, .b = x[0], .b_stride = kLanes};
  product.c = to[0], product.c_stride = kLanes, product.k = m.k, product.n = kLanes, product.start = 1;
  kernels().multiply(product, 0, m.columns);
}

/// to[j] += sign x m[j] of one row.
void add_row(const Lanes& x, const float* m, int n, float sign, Lanes* to) {
  float scaled[kLanes];
  for (int l = 0; l < kLanes; ++l) scaled[l] = sign * x[l];
  for (int j = 0; j < n; ++j) {
    for (int l = 0; l < kLanes; ++l) to[j][l] += scaled[l] * m[j];
  }
}

struct Panel {
  const RoundingMetric& m;
  Codes range;
  std::vector<float> w, e, q, gradient, scale;  // [cols][16]; scale [groups][16]

  Panel(DType t, const float* values, int64_t rows, const RoundingMetric& metric)
      : m(metric), range(t == DType::q8 ? Codes{-127, 127} : Codes{-8, 7}) {
    for (auto* x : {&w, &e, &q, &gradient}) x->assign(m.cols * kLanes, 0.0f);
    scale.assign(m.cols / kCols * kLanes, 0.0f);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < m.cols; ++c) w[c * kLanes + r] = values[r * m.cols + c];
    }
  }
  Lanes* at(std::vector<float>& x, int64_t column) const {
    return reinterpret_cast<Lanes*>(x.data() + column * kLanes);
  }

  void round_group(int64_t g);
  void encode(int64_t g, const GroupLanes& target, const Lanes& s, GroupLanes& codes, GroupLanes& errors, Lanes& cost);
  void refine_scale(int64_t g);
  void refine_codes(int64_t g);
  void sweep();
  double cost();
};

/// Columns of group g under the scales s: codes, errors, and what they cost.
void Panel::encode(int64_t g, const GroupLanes& target, const Lanes& s, GroupLanes& codes, GroupLanes& errors,
                   Lanes& cost) {
  const int64_t first = g * kCols;
  const Lanes* own = at(w, first);
  GroupLanes wanted;
  std::memcpy(wanted, target, sizeof(wanted));
  float inverse[kLanes];
  for (int l = 0; l < kLanes; ++l) inverse[l] = s[l] == 0 ? 0 : 1 / s[l], cost[l] = 0;
  for (int j = 0; j < kCols; ++j) {
    for (int l = 0; l < kLanes; ++l) {
      const float y = wanted[j][l] * inverse[l], low = y < range.low ? range.low : y;
      codes[j][l] = ((low > range.high ? range.high : low) + kRounding) - kRounding;
      const float rest = wanted[j][l] - codes[j][l] * s[l];
      cost[l] += m.d[first + j] * rest * rest;
      errors[j][l] = own[j][l] - codes[j][l] * s[l];
    }
    const float* a = m.a.data() + (first + j) * m.cols + first + j + 1;
    add_row(errors[j], a, kCols - 1 - j, 1, wanted + j + 1);
  }
}

/// Rounds group g, the groups before it being rounded.
void Panel::round_group(int64_t g) {
  const int64_t first = g * kCols;
  GroupLanes target;
  std::memcpy(target, at(w, first), sizeof(target));
  add_products(at(e, 0), {m.a.data() + first, 1, m.cols, first, kCols}, target);
  Lanes extreme = {}, best_cost, s, cost;
  for (int j = 0; j < kCols; ++j) {
    for (int l = 0; l < kLanes; ++l) {
      if (std::abs(target[j][l]) > std::abs(extreme[l])) extreme[l] = target[j][l];
    }
  }
  std::fill_n(best_cost, kLanes, INFINITY);
  GroupLanes codes, errors;
  float* best = scale.data() + g * kLanes;
  const auto attempt = [&] {
    encode(g, target, s, codes, errors, cost);
    for (int l = 0; l < kLanes; ++l) {
      if (cost[l] < best_cost[l]) best_cost[l] = cost[l], best[l] = s[l];
    }
  };
  static constexpr float k4[] = {-6.2f, -6.7f, -7.2f, -7.6f, -8.0f, -8.4f, -8.9f, -9.5f,
                                 5.8f,  6.3f,  6.7f,  7.0f,  7.4f,  8.0f,  8.6f};
  static constexpr float k8[] = {127.0f, 126.3f, 125.5f, 124.5f, 123.5f, 122.0f, 128.5f, 131.0f};
  for (const float steps : range.high > 7 ? std::span<const float>(k8) : std::span<const float>(k4)) {
    for (int l = 0; l < kLanes; ++l) s[l] = extreme[l] == 0 ? 0 : held_scale(extreme[l] / steps);
    attempt();
  }
  for (const float factor : {0.985f, 1.015f, 0.97f, 1.03f}) {
    for (int l = 0; l < kLanes; ++l) s[l] = best[l] == 0 ? 0 : held_scale(best[l] * factor);
    attempt();
  }
  std::memcpy(s, best, sizeof(s));
  encode(g, target, s, *reinterpret_cast<GroupLanes*>(at(q, first)), *reinterpret_cast<GroupLanes*>(at(e, first)),
         cost);
}

/// The scale of least cost for the codes of group g, all else as it is.
void Panel::refine_scale(int64_t g) {
  const int64_t first = g * kCols;
  Lanes *codes = at(q, first), *slope = at(gradient, first), *errors = at(e, first);
  const float* h = m.h.data() + first * m.cols + first;
  GroupLanes turned = {};  // codes H
  add_products(codes, {h, m.cols, 1, kCols, kCols}, turned);
  Lanes along = {}, curve = {}, step;
  for (int j = 0; j < kCols; ++j) {
    for (int l = 0; l < kLanes; ++l) along[l] += slope[j][l] * codes[j][l], curve[l] += turned[j][l] * codes[j][l];
  }
  for (int l = 0; l < kLanes; ++l) {
    float& s = scale[g * kLanes + l];
    step[l] = 0;
    if (!(curve[l] > 0)) continue;
    const float to = held_scale(s + along[l] / curve[l]), change = to - s;
    if (change * change * curve[l] - 2 * change * along[l] < 0) step[l] = change, s = to;
  }
  for (int j = 0; j < kCols; ++j) {
    for (int l = 0; l < kLanes; ++l) {
      errors[j][l] -= step[l] * codes[j][l];
      slope[j][l] -= step[l] * turned[j][l];
    }
  }
}

/// Each code of group g set to what is best while all others stay.
void Panel::refine_codes(int64_t g) {
  const int64_t first = g * kCols;
  Lanes *codes = at(q, first), *slope = at(gradient, first), *errors = at(e, first);
  const float* s = scale.data() + g * kLanes;
  float inverse[kLanes];
  for (int l = 0; l < kLanes; ++l) inverse[l] = s[l] == 0 ? 0 : 1 / s[l];
  for (int j = 0; j < kCols; ++j) {
    const float* h = m.h.data() + (first + j) * m.cols + first;
    const float narrow = 1 / h[j];
    Lanes change;
    for (int l = 0; l < kLanes; ++l) {
      const float y = codes[j][l] + slope[j][l] * narrow * inverse[l], low = y < range.low ? range.low : y;
      const float to = ((low > range.high ? range.high : low) + kRounding) - kRounding;
      change[l] = (to - codes[j][l]) * s[l];
      codes[j][l] = to;
      errors[j][l] -= change[l];
    }
    add_row(change, h, kCols, -1, slope);
  }
}

/// Scales and codes of all groups once. `gradient` is e H before and after.
void Panel::sweep() {
  for (int64_t g = 0; g < m.cols / kCols; ++g) {
    const int64_t first = g * kCols;
    GroupLanes before, slope;
    std::memcpy(before, at(e, first), sizeof(before));
    std::memcpy(slope, at(gradient, first), sizeof(slope));
    refine_scale(g);
    refine_codes(g);
    Lanes* now = at(e, first);
    bool changed = false;
    for (int j = 0; j < kCols; ++j) {
      for (int l = 0; l < kLanes; ++l) {
        before[j][l] = now[j][l] - before[j][l];
        changed |= before[j][l] != 0;
      }
    }
    if (!changed) continue;
    std::memcpy(at(gradient, first), slope, sizeof(slope));
    add_products(before, {m.h.data() + first, m.cols, 1, kCols, m.cols}, at(gradient, 0));
  }
}

double Panel::cost() {
  double sum = 0;
  for (size_t i = 0; i < e.size(); ++i) sum += double{e[i]} * gradient[i];
  return sum;
}

}  // namespace

double quantize_panel(DType t, const float* values, int64_t rows, const RoundingMetric& metric, uint8_t* packed,
                      f16* scales) {
  Panel p(t, values, rows, metric);
  const int64_t cols = metric.cols, groups = cols / kCols;
  for (int64_t g = 0; g < groups; ++g) p.round_group(g);
  add_products(p.at(p.e, 0), {metric.h.data(), cols, 1, cols, cols}, p.at(p.gradient, 0));
  for (int i = 0; i < kSweeps; ++i) p.sweep();
  for (int64_t g = 0; g < groups; ++g) {
    for (int row = 0; row < kLanes; ++row) {
      float codes[kCols];
      for (int c = 0; c < kCols; ++c) codes[c] = p.at(p.q, g * kCols + c)[0][row];
      scales[g * kLanes + row] = to_f16(p.scale[g * kLanes + row]);
      pack_row(t, codes, row, packed + g * packed_bytes(t, kPanelRows, kGroupColumns));
    }
  }
  return p.cost();
}

}  // namespace jet
