// Row-wise ops: each row is computed by itself.
#include "jet/engine/cpu/cpu_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "jet/tensor/quant.h"

namespace jet {

void CpuOps::begin(std::span<const Segment> segments) {
  segments_ = segments;
  total_rows_ = segments.empty() ? 0 : segments.back().first + segments.back().rows;
  packed_ = {};
  first_ = {};
  partial_ = {};
  for (RopeTable& r : ropes_) r.values = {};
}

CpuTensor CpuOps::make(int64_t rows, Dims dims) {
  CpuTensor t;
  t.buffer = arena_.take(rows * dims.count());
  t.data = t.buffer.data();
  t.rows = rows;
  t.stride = dims.count();
  t.dims = dims;
  return t;
}

namespace {

const char* linear_kind(DType t) {
  switch (t) {
    case DType::bf16: return "linear bf16";
    case DType::f16: return "linear f16";
    case DType::q8: return "linear int8";
    case DType::q4: return "linear int4";
    default: return "linear f32";
  }
}

}  // namespace

CpuTensor CpuOps::linear(const Tensor& x, const Weight& w, const Weight& bias) {
  const Dims d = w.dims;  // [out, in]
  if (x.dims.rank == 2 && x.dims.inner == d.inner && x.stride == x.dims.count()) {
    Tensor lines = x;  // a head a row
    lines.rows = x.rows * x.dims.outer, lines.stride = x.dims.inner, lines.dims = Dims::of(x.dims.inner);
    Tensor out = linear(lines, w, bias);
    out.rows = x.rows, out.stride = x.dims.outer * d.outer, out.dims = Dims::of(x.dims.outer, d.outer);
    return out;
  }
  require(x.dims.count() == d.inner, "linear: rows of {} numbers against a weight [{}, {}]", x.dims.count(), d.outer,
          d.inner);
  Tensor out = make(x.rows, Dims::of(d.outer));
  if (x.rows == 0) return out;
  const Matrix matrix{w.dtype, w.data, d.outer, d.inner, w.scales};
  const int64_t bytes = matrix_bytes(w.dtype, d.outer, d.inner) + (bias ? 4 * d.outer : 0);
  const OpMeter::Scope scope(meter_, linear_kind(w.dtype), static_cast<double>(bytes),
                             2.0 * static_cast<double>(x.rows * d.count()));
  MatmulTask task{.x = x.data, .n = x.rows, .x_stride = x.stride, .w = matrix};
  task.bias = bias ? bias.floats() : nullptr;
  task.out = out.data;
  task.out_stride = out.stride;
  task.invariant = invariant_;
  task.packed = packed(x, task);
  const int64_t units = (d.outer + kRowUnit - 1) / kRowUnit;
  parallel(units, x.rows * d.inner * kRowUnit, kPartProducts, [&](int64_t begin, int64_t end) {
    // A few hundred rows at a time: their outputs for a block of tokens stay in the L2 cache.
    for (int64_t u = begin; u < end; u += 8) {
      kernels_.matmul(task, u * kRowUnit, std::min(d.outer, std::min(end, u + 8) * kRowUnit));
    }
  });
  return out;
}

CpuTensor CpuOps::gated_linear(Activation act, const Tensor& x, const Weight& gate, const Weight& up) {
  const Dims d = gate.dims;  // [out, in]
  if (x.dims.count() != d.inner || gate.dtype != up.dtype || up.dims.outer != d.outer || up.dims.inner != d.inner ||
      x.rows == 0) {
    return gated_product(*this, act, linear(x, gate), linear(x, up));
  }
  Tensor out = make(x.rows, Dims::of(d.outer));
  const OpMeter::Scope scope(meter_, linear_kind(gate.dtype),
                             2.0 * static_cast<double>(matrix_bytes(gate.dtype, d.outer, d.inner)),
                             4.0 * static_cast<double>(x.rows * d.count()));
  MatmulTask task{.x = x.data, .n = x.rows, .x_stride = x.stride, .w = {gate.dtype, gate.data, d.outer, d.inner}};
  task.invariant = invariant_;
  task.packed = packed(x, task);
  constexpr int64_t kUnits = 4, kRows = kUnits * kRowUnit;  // of a block: for 512 tokens 512 KiB in the L2 cache
  task.out_stride = kRows;
  parallel((d.outer + kRowUnit - 1) / kRowUnit, 2 * x.rows * d.inner * kRowUnit, kPartProducts,
           [&](int64_t begin, int64_t end) {
             static thread_local std::vector<float> scratch;
             scratch.resize(2 * x.rows * kRows);
             float* sides[] = {scratch.data(), scratch.data() + x.rows * kRows};
             for (int64_t u = begin; u < end; u += kUnits) {
               const int64_t row = u * kRowUnit, rows = std::min(d.outer, std::min(end, u + kUnits) * kRowUnit) - row;
               for (int side = 0; side < 2; ++side) {
                 const Weight& w = side == 0 ? gate : up;
                 MatmulTask part = task;
                 part.w = rows_of({w.dtype, w.data, d.outer, d.inner, w.scales}, row, rows);
                 part.out = sides[side];
                 kernels_.matmul(part, 0, rows);
               }
               for (int64_t t = 0; t < x.rows; ++t) {
                 kernels_.gated(act == Activation::silu ? Gate::silu : Gate::gelu_tanh, sides[0] + t * kRows,
                                sides[1] + t * kRows, out.data + t * out.stride + row, rows);
               }
             }
           });
  return out;
}

/// The task's activations in the kernel's order. Neighbouring projections of one input share them: the last ones are
/// kept, and with them the input, so that its memory holds no other numbers meanwhile.
float* CpuOps::packed(const Tensor& x, const MatmulTask& task) {
  const int64_t floats = kernels_.packed_floats(task);
  if (floats == 0) return nullptr;
  Packed& p = packed_;
  if (p.x.data == x.data && p.x.rows == x.rows && p.x.stride == x.stride && p.cols == task.w.cols &&
      p.dtype == task.w.dtype) {
    return p.data.data();
  }
  p = {};
  p = {x, task.w.cols, task.w.dtype, arena_.take(floats)};
  MatmulTask to = task;
  to.packed = p.data.data();
  parallel((x.rows + kPackTokens - 1) / kPackTokens, 1, 1, [&](int64_t begin, int64_t end) {
    kernels_.pack(to, begin * kPackTokens, std::min(x.rows, end * kPackTokens));
  });
  return to.packed;
}

namespace {

template <class T>
void copy_row(const void* from, int64_t row, int64_t n, float* to) {
  const T* p = static_cast<const T*>(from) + row * n;
  for (int64_t c = 0; c < n; ++c) to[c] = to_float(p[c]);
}

}  // namespace

CpuTensor CpuOps::embed(std::span<const int32_t> ids, const Weight& w) {
  Tensor out = make(static_cast<int64_t>(ids.size()), Dims::of(w.dims.inner));
  for (int64_t t = 0; t < out.rows; ++t) {
    switch (w.dtype) {
      case DType::bf16: copy_row<bf16>(w.data, ids[t], w.dims.inner, out.row(t)); break;
      case DType::f16: copy_row<f16>(w.data, ids[t], w.dims.inner, out.row(t)); break;
      case DType::q8:
      case DType::q4: dequantize_row(w.dtype, w.data, w.scales, w.dims.inner, ids[t], out.row(t)); break;
      default: copy_row<float>(w.data, ids[t], w.dims.inner, out.row(t));
    }
  }
  return out;
}

CpuTensor CpuOps::first_of_pass(const Tensor& x) {
  if (!first_) first_ = x;
  return first_;
}

CpuTensor CpuOps::last_rows(const Tensor& x) {
  int64_t n = 0;
  for (const Segment& s : segments_) n += s.wanted;
  if (n == x.rows) return x;
  Tensor out = make(n, x.dims);
  int64_t at = 0;
  for (const Segment& s : segments_) {
    for (int64_t i = s.rows - s.wanted; i < s.rows; ++i) {
      std::memcpy(out.row(at++), x.row(s.first + i), x.dims.count() * sizeof(float));
    }
  }
  return out;
}

CpuTensor CpuOps::heads(const Tensor& x, int64_t n) {
  const int64_t c = x.dims.count();
  require(n > 0 && c % n == 0, "heads: {} numbers do not divide into {} heads", c, n);
  Tensor out = x;
  out.dims = Dims::of(n, c / n);
  return out;
}

CpuTensor CpuOps::tensor(const Weight& w) {
  Tensor x;
  x.data = const_cast<float*>(w.floats());
  x.tokens = false;
  x.dims = w.dims;
  return x;
}

CpuTensor CpuOps::flat(const Tensor& x) {
  Tensor out = x;
  out.dims = Dims::of(x.dims.count());
  return out;
}

CpuTensor CpuOps::slice(const Tensor& x, int64_t begin, int64_t size) {
  require(begin >= 0 && begin + size <= x.dims.inner, "slice: [{}, {}) of {} numbers", begin, begin + size,
          x.dims.inner);
  if (x.dims.rank == 2) return head_slice(x, begin, size);
  Tensor out = x;
  out.data += begin;
  out.dims = Dims::of(size);
  return out;
}

CpuTensor CpuOps::head_slice(const Tensor& x, int64_t begin, int64_t size) {
  const int64_t h = x.dims.outer, d = x.dims.inner;
  Tensor out = make(x.rows, Dims::of(h, size));
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < h; ++i) std::memcpy(out.row(t) + i * size, x.row(t) + i * d + begin, size * sizeof(float));
  }
  return out;
}

CpuTensor CpuOps::repeat_heads(const Tensor& x, int64_t n) {
  if (n == 1) return x;
  const int64_t h = x.dims.outer, d = x.dims.inner;
  Tensor out = make(x.rows, Dims::of(h * n, d));
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < h * n; ++i) std::memcpy(out.row(t) + i * d, x.row(t) + i / n * d, d * sizeof(float));
  }
  return out;
}

template <class F>
CpuTensor CpuOps::each_line(const Tensor& x, int64_t width, F&& f) {
  const int64_t outer = x.dims.outer, inner = x.dims.inner;
  const OpMeter::Scope scope(meter_, "norm", 8.0 * static_cast<double>(x.rows * x.dims.count()), 0);
  Tensor out = make(x.rows, x.dims.rank == 1 ? Dims::of(width) : Dims::of(outer, width));
  parallel(x.rows * outer, inner, kPartNumbers, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(x.row(i / outer) + i % outer * inner, out.data + i * width);
  });
  return out;
}

CpuTensor CpuOps::rms_norm(const Tensor& x, const Weight& w, float eps) {
  const int64_t n = x.dims.inner;
  require(!w || w.dims.count() == n, "rms_norm: {} weights for rows of {} numbers", w.dims.count(), n);
  const float* weight = w ? w.floats() : nullptr;
  return each_line(x, n, [&](const float* from, float* to) {
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < n; ++c) squares += from[c] * from[c];
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
    for (int64_t c = 0; c < n; ++c) to[c] = from[c] * scale * (weight ? weight[c] : 1.0f);
  });
}

CpuTensor CpuOps::layer_norm(const Tensor& x, float eps) {
  const int64_t n = x.dims.inner;
  return each_line(x, n, [&](const float* from, float* to) {
    float mean = 0, variance = 0;
    for (int64_t c = 0; c < n; ++c) mean += from[c];
    mean /= static_cast<float>(n);
    for (int64_t c = 0; c < n; ++c) variance += (from[c] - mean) * (from[c] - mean);
    const float scale = 1.0f / std::sqrt(variance / static_cast<float>(n) + eps);
    for (int64_t c = 0; c < n; ++c) to[c] = (from[c] - mean) * scale;
  });
}

CpuTensor CpuOps::l2_norm(const Tensor& x, float eps) {
  const int64_t n = x.dims.inner;
  return each_line(x, n, [&](const float* from, float* to) {
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < n; ++c) squares += from[c] * from[c];
    const float scale = 1.0f / std::sqrt(squares + eps);
    for (int64_t c = 0; c < n; ++c) to[c] = from[c] * scale;
  });
}

CpuTensor CpuOps::sum_last(const Tensor& x) {
  return each_line(x, 1, [n = x.dims.inner](const float* from, float* to) {
    float sum = 0;
    for (int64_t c = 0; c < n; ++c) sum += from[c];
    *to = sum;
  });
}

CpuTensor CpuOps::constant(const std::vector<float>& values) {
  Tensor t = make(1, Dims::of(static_cast<int64_t>(values.size())));
  std::copy(values.begin(), values.end(), t.data);
  t.tokens = false;
  return t;
}

CpuTensor CpuOps::map_output(std::span<MapInput> in, MapShape& shape) {
  Dims d;
  int64_t n = 0;
  const auto widen = [](int64_t& size, int64_t other) {
    require(size == other || size == 1 || other == 1, "map: sizes {} and {} do not broadcast", size, other);
    size = std::max(size, other);
  };
  for (const MapInput& x : in) {
    d.rank = std::max(d.rank, x.dims.rank);
    widen(d.outer, x.dims.outer);
    widen(d.inner, x.dims.inner);
    require(n == 0 || x.rows == 0 || n == x.rows, "map: {} rows against {}", n, x.rows);
    n = std::max(n, x.rows);
  }
  bool whole = true;
  for (MapInput& x : in) {
    x.inner = x.dims.inner == 1 ? 0 : 1;
    x.outer = x.dims.outer == 1 ? 0 : x.dims.inner;
    whole = whole && x.dims.outer == d.outer && x.dims.inner == d.inner;
    shape.contiguous = &x == in.data() ? x.dims.inner == d.inner : shape.contiguous && x.dims.inner == d.inner;
  }
  const bool tokens = std::any_of(in.begin(), in.end(), [](const MapInput& x) { return x.rows > 0; });
  Tensor out = make(tokens ? n : 1, d);
  out.tokens = tokens;
  shape.outer = whole ? 1 : d.outer;  // where nothing broadcasts, a row is one line
  shape.inner = whole ? d.count() : d.inner;
  if (whole) {
    for (MapInput& x : in) x.inner = 1;
  }
  shape.contiguous = whole || shape.contiguous;
  shape.lines = out.rows * shape.outer;
  return out;
}

CpuTensor CpuOps::map_recorded(const Formula& f, const std::vector<Tensor>& x) {
  std::vector<MapInput> in;
  for (const Tensor& t : x) in.push_back(input(t));
  return map_inputs(f, in);
}

CpuTensor CpuOps::map_inputs(const Formula& f, std::span<MapInput> in) {
  MapShape s;
  Tensor out = map_output(in, s);
  const double bytes = 4.0 * static_cast<double>((std::ssize(in) + 1) * s.lines * s.inner);
  const OpMeter::Scope scope(meter_, "elementwise", bytes, 0);
  parallel(s.lines * s.inner, 1, kPartNumbers, [&](int64_t begin, int64_t end) {
    constexpr int64_t kSame = 256;
    float same[Formula::kMostArguments][kSame];  // one number of an input that has one a line
    const float* from[Formula::kMostArguments];
    for (int64_t at = begin; at < end;) {
      const int64_t line = at / s.inner, j = at % s.inner;
      const int64_t n = std::min({s.inner - j, end - at, s.contiguous ? s.inner : kSame});
      for (size_t i = 0; i < in.size(); ++i) {
        from[i] = in[i].data + line / s.outer * in[i].row + line % s.outer * in[i].outer + j * in[i].inner;
        if (in[i].inner == 0 && n > 1) std::fill_n(same[i], n, *from[i]), from[i] = same[i];
      }
      kernels_.map({f.code.data(), std::ssize(f.code), f.result, from, out.data + at, n});
      at += n;
    }
  });
  return out;
}

}  // namespace jet
