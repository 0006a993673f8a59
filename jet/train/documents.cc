#include "jet/train/documents.h"

#include <algorithm>
#include <map>

#include "jet/base/error.h"

namespace jet {

using at::Tensor;

namespace {

struct Span {
  int64_t begin, size;  // in flat rows
};

// Lengths of one class differ by less than twice.
std::map<int64_t, std::vector<Span>> by_class(std::span<const uint8_t> starts, int64_t rows, int64_t length) {
  constexpr int64_t kShortest = 16;
  std::map<int64_t, std::vector<Span>> classes;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t t = 0; t < length;) {
      const int64_t begin = row * length + t;
      for (++t; t < length && !starts[row * length + t];) ++t;
      const Span s{begin, row * length + t - begin};
      int64_t bound = kShortest;
      while (bound < s.size) bound *= 2;
      classes[bound].push_back(s);
    }
  }
  return classes;
}

}  // namespace

Documents::Documents(std::span<const uint8_t> starts, int64_t rows, int64_t length, at::Device device)
    : rows_(rows), length_(length) {
  require(static_cast<int64_t>(starts.size()) == rows * length && rows > 0 && length > 0,
          "documents: {} marks for {} rows of {} tokens", starts.size(), rows, length);
  const auto there = at::TensorOptions(at::kLong).device(device);
  std::vector<int64_t> back(rows * length), positions(rows * length);
  int64_t at = 0;
  for (const auto& [bound, spans] : by_class(starts, rows, length)) {
    int64_t longest = 0;
    for (const Span& s : spans) longest = std::max(longest, s.size);
    std::vector<int64_t> from;
    for (const Span& s : spans) {
      for (int64_t t = 0; t < longest; ++t, ++at) {
        from.push_back(s.begin + std::min(t, s.size - 1));
        if (t < s.size) back[s.begin + t] = at, positions[s.begin + t] = t;
      }
    }
    groups_.push_back({at::tensor(from, there), longest});
  }
  back_ = at::tensor(back, there);
  positions_ = at::tensor(positions, there).view({rows, length});
}

Tensor Documents::gather(const Group& g, const Tensor& x) const {
  if (!x.defined() || x.dim() < 3) return x;
  return x.flatten(0, 1).index_select(0, g.from).unflatten(0, {-1, g.longest});
}

}  // namespace jet
