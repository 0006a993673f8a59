// Ops that see sequences: rotary positions, shifts, convolutions, attention, recurrences.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "jet/base/denormals.h"
#include "jet/engine/cpu/cpu_ops.h"

namespace jet {

namespace {
constexpr int64_t kMostTaps = 64;
}

const float* CpuOps::rope_values(const Rope& r, int64_t dim) {
  const auto same = [&](const RopeTable& t) { return t.dim == dim && t.rope == r; };
  auto table = std::find_if(ropes_.begin(), ropes_.end(), same);
  if (table == ropes_.end()) {
    ropes_.push_back({r, dim, r.frequencies(static_cast<int>(dim)), {}});
    table = ropes_.end() - 1;
  }
  if (!table->values) {
    table->values = arena_.take(total_rows_ * dim);
    const int64_t pairs = dim / 2;
    const double magnitude = r.magnitude.value_or(1);
    for (const Segment& s : segments_) {
      parallel(s.rows, 1, 64, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          float* row = table->values.data() + (s.first + t) * dim;
          for (int64_t i = 0; i < pairs; ++i) {
            const double angle = static_cast<double>(s.start + t) * table->frequencies[i];
            row[i] = static_cast<float>(std::cos(angle) * magnitude);
            row[pairs + i] = static_cast<float>(std::sin(angle) * magnitude);
          }
        }
      });
    }
  }
  return table->values.data();
}

CpuTensor CpuOps::rope(const Tensor& x, const Rope& r) {
  const int64_t all = x.dims.inner, dim = r.turning(all), pairs = dim / 2;
  const float* values = rope_values(r, dim);  // [rows, dim]
  const OpMeter::Scope scope(meter_, "rope", 8.0 * static_cast<double>(x.rows * x.dims.count()), 0);
  Tensor out = make(x.rows, x.dims);
  parallel(x.rows, x.dims.count(), kPartNumbers, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float *cosine = values + t * dim, *sine = cosine + pairs;
      for (int64_t h = 0; h < x.dims.outer; ++h) {
        const float* from = x.row(t) + h * all;
        float* to = out.row(t) + h * all;
        for (int64_t i = 0; i < pairs; ++i) {
          const float a = from[i], b = from[pairs + i];
          to[i] = a * cosine[i] - b * sine[i];
          to[pairs + i] = b * cosine[i] + a * sine[i];
        }
        for (int64_t i = dim; i < all; ++i) to[i] = from[i];
      }
    }
  });
  return out;
}

CpuTensor CpuOps::shift(const Tensor& x, State last) {
  Tensor out = make(x.rows, x.dims);
  const int64_t n = x.dims.count();
  for (const Segment& s : segments_) {
    std::vector<float>& before = fixed(s, last);
    for (int64_t t = 0; t < s.rows; ++t) {
      std::memcpy(out.row(s.first + t), t == 0 ? before.data() : x.row(s.first + t - 1), n * sizeof(float));
    }
    std::memcpy(before.data(), x.row(s.first + s.rows - 1), n * sizeof(float));
  }
  return out;
}

/// Causal depthwise convolutions: row(t, taps, y) makes row t of the output, [C], from the inputs of tokens t - width +
/// 1 .. t. Before the first one stands the tail, [width, C], which then becomes the last `width` inputs.
template <class F>
CpuTensor CpuOps::convolve(const Tensor& x, int64_t width, State tail, F&& row) {
  const int64_t channels = x.dims.count();
  require(width <= kMostTaps, "a convolution of {} taps; at most {} are supported", width, kMostTaps);
  const OpMeter::Scope scope(meter_, "convolution", 4.0 * static_cast<double>(2 * x.rows * channels),
                             2.0 * static_cast<double>(x.rows * channels * width));
  Tensor out = make(x.rows, x.dims);
  for (const Segment& s : segments_) {
    float* before = fixed(s, tail).data();
    parallel(s.rows, channels, kPartNumbers, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const float* taps[kMostTaps];
        for (int64_t j = 0; j < width; ++j) {
          const int64_t at = t - width + 1 + j;
          taps[j] = at < 0 ? before + (width + at) * channels : x.row(s.first + at);
        }
        row(s.first + t, taps, out.row(s.first + t));
      }
    });
    const int64_t fresh = std::min(width, s.rows);
    std::memmove(before, before + fresh * channels, (width - fresh) * channels * sizeof(float));
    for (int64_t i = width - fresh; i < width; ++i) {
      std::memcpy(before + i * channels, x.row(s.first + s.rows - width + i), channels * sizeof(float));
    }
  }
  return out;
}

namespace {

/// y[c] = bias[c] + sum_j kernel[c, j] taps[j][c]
void apply_taps(const float* kernel, const float* bias, const float* const* taps, int64_t width, int64_t channels,
                float* y) {
  if (width == 4) {
    for (int64_t c = 0; c < channels; ++c) {
      const float* k = kernel + c * 4;
      y[c] = (bias ? bias[c] : 0.0f) + k[0] * taps[0][c] + k[1] * taps[1][c] + k[2] * taps[2][c] + k[3] * taps[3][c];
    }
    return;
  }
  for (int64_t c = 0; c < channels; ++c) {
    float sum = bias ? bias[c] : 0.0f;
    for (int64_t j = 0; j < width; ++j) sum += kernel[c * width + j] * taps[j][c];
    y[c] = sum;
  }
}

}  // namespace

CpuTensor CpuOps::short_conv(const Tensor& x, const Weight& w, const Weight& bias, State tail) {
  const int64_t channels = x.dims.count(), width = w.dims.count() / channels;
  const float *kernel = w.floats(), *b = bias ? bias.floats() : nullptr;
  return convolve(x, width, tail, [&](int64_t, const float* const* taps, float* y) {
    apply_taps(kernel, b, taps, width, channels, y);
  });
}

CpuTensor CpuOps::dynamic_conv(const Tensor& x, const Tensor& kernel, State tail) {
  const int64_t channels = x.dims.count(), width = kernel.dims.count() / channels;
  return convolve(x, width, tail, [&](int64_t t, const float* const* taps, float* y) {
    apply_taps(kernel.row(t), nullptr, taps, width, channels, y);
  });
}

namespace {

/// Some columns of a head's state [K, V] that is kept in bf16: floats while it is worked on.
class HalfState {
 public:
  HalfState(const Kernels& kernels, bf16* kept, int64_t K, int64_t V, int64_t begin, int64_t end)
      : kernels_(kernels), kept_(kept), K_(K), V_(V), begin_(begin), columns_(end - begin) {
    if (!kept_) return;
    if (work_.size() < static_cast<size_t>(K * V)) work_.resize(K * V);
    each([&](int64_t i) { kernels_.widen(kept_ + i, &work_[i], columns_); });
  }
  ~HalfState() {
    if (kept_) each([&](int64_t i) { kernels_.round(&work_[i], kept_ + i, columns_); });
  }
  HalfState(const HalfState&) = delete;
  HalfState& operator=(const HalfState&) = delete;
  explicit operator bool() const { return kept_ != nullptr; }
  float* floats() const { return work_.data(); }

 private:
  template <class F>
  void each(F&& f) const {
    for (int64_t k = 0; k < K_; ++k) f(k * V_ + begin_);
  }
  const Kernels& kernels_;
  bf16* kept_;
  int64_t K_, V_, begin_, columns_;
  static thread_local std::vector<float> work_;
};
thread_local std::vector<float> HalfState::work_;

}  // namespace

CpuTensor CpuOps::recurrence(const Recurrence<Tensor>& r, State state) {
  const int64_t heads = r.q.dims.outer, K = r.q.dims.inner, V = r.v.dims.inner;
  Tensor out = make(r.v.rows, r.v.dims);
  const bool g_vector = r.g && r.g.dims.rank == 2;
  const auto at = [](const Tensor& x, const Segment& s, int64_t offset) {
    return x ? x.row(s.first) + offset : nullptr;
  };
  const auto stride = [](const Tensor& x) { return x.tokens ? x.stride : 0; };
  // A head's columns do not meet: with few heads, they are shared out in whole cache lines; and steps of states that
  // are widened for them, so that they stay in the L1 cache.
  const int64_t n_segments = static_cast<int64_t>(segments_.size());
  const bool is_half = !store(segments_[0], state).halves.empty(), widened_steps = is_half && total_rows_ == n_segments;
  const bool whole = n_segments * heads >= 2 * pool_.size() && !widened_steps;
  const int64_t parts = whole ? 1 : (V + 63) / 64, width = parts == 1 ? V : 64;
  const int64_t task_work = total_rows_ * K * width / n_segments;
  const double products = (r.g ? 1 : 0) + (r.a ? 8 : r.beta ? 6 : 4);  // as jet/model/count_ops.h counts steps
  const OpMeter::Scope scope(meter_, "recurrence",
                             (is_half ? 4.0 : 8.0) * static_cast<double>(n_segments * heads * K * V),
                             products * static_cast<double>(total_rows_ * heads * K * V));
  parallel(n_segments * heads * parts, task_work, kPartNumbers, [&](int64_t begin, int64_t end) {
    const FlushDenormals flush;
    for (int64_t i = begin; i < end; ++i) {
      const Segment& s = segments_[i / (heads * parts)];
      const int64_t h = i / parts % heads, column = i % parts * width;
      Store& kept = store(s, state);
      HalfState half(kernels_, kept.halves.empty() ? nullptr : kept.halves.data() + h * K * V, K, V, column,
                     std::min(V, column + width));
      kernels_.recurrence({.q = at(r.q, s, h * K),
                           .k = at(r.k, s, h * K),
                           .v = at(r.v, s, h * V),
                           .g = at(r.g, s, g_vector ? h * K : h),
                           .beta = at(r.beta, s, h),
                           .a = at(r.a, s, h * K),
                           .b = at(r.b, s, h * K),
                           .q_stride = stride(r.q),
                           .k_stride = stride(r.k),
                           .v_stride = stride(r.v),
                           .g_stride = stride(r.g),
                           .beta_stride = stride(r.beta),
                           .a_stride = stride(r.a),
                           .b_stride = stride(r.b),
                           .g_vector = g_vector,
                           .scale = r.scale,
                           .out = at(out, s, h * V),
                           .out_stride = out.stride,
                           .state = half ? half.floats() : kept.fixed.data() + h * K * V,
                           .tokens = s.rows,
                           .K = K,
                           .V = V,
                           .column_begin = column,
                           .column_end = std::min(V, column + width),
                           .invariant = invariant_});
    }
  });
  return out;
}

}  // namespace jet
