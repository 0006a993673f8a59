#include "jet/engine/input_statistics.h"

#include <algorithm>

namespace jet {

InputStatistics::InputStatistics(LayerRunner& runner, const std::vector<std::string>& matrices) : pool_(runner.pool()) {
  for (const std::string& name : matrices) seen_[runner.weight(name).data] = {name};
}

void InputStatistics::add(const CpuTensor& x, const CpuWeight& w) {
  const auto found = seen_.find(w.data);
  if (found == seen_.end()) return;
  Seen& s = found->second;
  if (s.group < 0) {
    const auto same = std::find_if(inputs_.begin(), inputs_.end(), [&](const auto& i) {
      return i.first.data == x.data && i.first.rows == x.rows && i.first.stride == x.stride &&
             groups_[i.second].cols == w.dims.inner;
    });
    s.leads = same == inputs_.end();
    if (s.leads) {
      s.group = static_cast<int>(groups_.size());
      groups_.push_back({{}, w.dims.inner, std::vector<float>(w.dims.inner * w.dims.inner)});
      inputs_.emplace_back(x, s.group);
    } else {
      s.group = same->second;
    }
    groups_[s.group].matrices.push_back(s.name);
  } else {
    inputs_.clear();  // another batch: all groups are known
  }
  if (s.leads) accumulate(groups_[s.group], x);
}

/// h += x^T x: the product of x^T with itself, as of a matrix with its inputs.
void InputStatistics::accumulate(InputGroup& group, const CpuTensor& x) {
  const int64_t n = group.cols, lines = x.dims.count() / n, rows = x.rows * lines;
  std::vector<float> turned(n * rows), product(n * n), packed;
  pool_.parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = x.row(r / lines) + r % lines * n;
      for (int64_t c = begin; c < end; ++c) turned[c * rows + r] = from[c];
    }
  });
  const Kernels& k = exact_kernels();
  MatmulTask task{.x = turned.data(), .n = n, .x_stride = rows, .w = {DType::f32, turned.data(), n, rows}};
  task.out = product.data(), task.out_stride = n;
  packed.resize(k.packed_floats(task));
  task.packed = packed.data();
  if (!packed.empty()) {
    pool_.parallel_for((n + kPackTokens - 1) / kPackTokens, 1, [&](int64_t begin, int64_t end) {
      k.pack(task, begin * kPackTokens, std::min(n, end * kPackTokens));
    });
  }
  pool_.parallel_for((n + kRowUnit - 1) / kRowUnit, 1, [&](int64_t begin, int64_t end) {
    k.matmul(task, begin * kRowUnit, std::min(n, end * kRowUnit));
  });
  for (int64_t i = 0; i < n * n; ++i) group.h[i] += product[i];
}

}  // namespace jet
