#include "jet/engine/cpu/weights.h"

#include <cstring>

#include "jet/base/huge_pages.h"
#include "jet/base/rng.h"
#include "jet/base/threads.h"
#include "jet/blocks/init.h"
#include "jet/model/quantize.h"
#include "jet/tensor/quant.h"

namespace jet {

namespace {

constexpr size_t kQuadBytes = 4;  // packed numbers are read by four at least

std::byte* own(LoadedWeights& w, size_t bytes) {
  std::byte* data = w.owned.emplace_back(std::make_unique_for_overwrite<std::byte[]>(bytes)).get();
  advise_huge_pages(data, bytes);
  return data;
}

const void* aligned(LoadedWeights& w, std::span<const std::byte> bytes, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0) return bytes.data();
  std::byte* copy = own(w, bytes.size());
  std::memcpy(copy, bytes.data(), bytes.size());
  return copy;
}

/// Counts a parameter's bytes; a few of them tell one model's weights from another's.
void add_up(LoadedWeights& w, const CpuWeight& p) {
  const int64_t bytes = matrix_bytes(p.dtype, p.dims.outer, p.dims.inner);
  const int64_t numbers = is_quantized(p.dtype) ? packed_bytes(p.dtype, p.dims.outer, p.dims.inner) : bytes;
  w.bytes += bytes;
  w.hash = hash64({static_cast<const char*>(p.data), std::min<size_t>(256, numbers)}, w.hash);
}

}  // namespace

LoadedWeights load_weights(Checkpoint checkpoint) {
  LoadedWeights w;
  w.files = checkpoint.tensors;
  model_params(checkpoint.spec, w.weights, [&](const std::string& name, CpuWeight& p, const ParamSpec& spec) {
    p.dims = CpuWeight::dims_of(spec.shape);
    if (spec.is_matrix()) {
      const StoredMatrix m = checkpoint.matrix(name, spec.shape);
      p.dtype = m.dtype;
      p.data = aligned(w, m.data, is_quantized(m.dtype) ? kQuadBytes : size_of(m.dtype));
      if (is_quantized(m.dtype)) p.scales = aligned(w, m.scales, size_of(DType::f16));
    } else {
      const std::vector<float> values = checkpoint.floats(name, spec);
      std::byte* copy = own(w, values.size() * sizeof(float));
      std::memcpy(copy, values.data(), values.size() * sizeof(float));
      p.data = copy;
    }
    add_up(w, p);
  });
  return w;
}

namespace {

constexpr int64_t kBlock = 1 << 14;  // numbers that one stream of random numbers makes

/// Close to normal, from one draw: the sum of four uniforms, of variance 1.
float roughly_normal(Rng& rng) {
  const uint64_t x = rng.next();
  const auto sum = static_cast<float>((x & 0xffff) + (x >> 16 & 0xffff) + (x >> 32 & 0xffff) + (x >> 48));
  return (sum * 0x1p-16f - 2.0f) * 1.7320508f;
}

void fill(std::byte* data, DType dtype, int64_t begin, int64_t end, Rng rng, const ParamSpec& p) {
  for (int64_t i = begin; i < end; ++i) {
    const auto x = static_cast<float>(init_value(p, i, rng, roughly_normal));
    if (dtype == DType::bf16) {
      const bf16 b = to_bf16(x);
      std::memcpy(data + i * 2, &b, 2);
    } else {
      std::memcpy(data + i * 4, &x, 4);
    }
  }
}

/// f(block, begin, end) for all blocks of n numbers, shared out.
template <class F>
void each_block(int64_t n, ThreadPool& pool, F&& f) {
  pool.parallel_for((n + kBlock - 1) / kBlock, 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) f(b, b * kBlock, std::min(n, (b + 1) * kBlock));
  });
}

/// Random codes under one scale that gives them the spread of rows started by fan-in.
void make_quantized(LoadedWeights& w, CpuWeight& p, const std::string& name, uint64_t seed, ThreadPool& pool) {
  const int64_t rows = p.dims.outer, cols = p.dims.inner, bytes = packed_bytes(p.dtype, rows, cols);
  const int64_t n_scales = scale_count(rows, cols);
  const bool is_q8 = p.dtype == DType::q8;
  const uint64_t odd = is_q8 ? 0x0101010101010101u : 0;  // int8 has no code 0; odd ones have the mean 128
  std::byte* data = own(w, bytes);
  auto* scales = reinterpret_cast<f16*>(own(w, n_scales * sizeof(f16)));
  each_block(bytes / 8, pool, [&](int64_t b, int64_t begin, int64_t end) {
    Rng rng(mix64(seed + b), name);
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t x = rng.next() | odd;
      std::memcpy(data + 8 * i, &x, 8);
    }
  });
  const double spread = is_q8 ? 73.9 : 4.61;  // standard deviation of uniform codes
  const f16 scale = to_f16(static_cast<float>(1 / (spread * std::sqrt(static_cast<double>(cols)))));
  for (int64_t i = 0; i < n_scales; ++i) {
    const int64_t row = i / scale_count(kPanelRows, cols) * kPanelRows + i % kPanelRows;
    scales[i] = row < rows ? scale : f16{};
  }
  p.data = data;
  p.scales = scales;
}

}  // namespace

LoadedWeights random_weights(const ModelSpec& spec, uint64_t seed, DType matrices, ThreadPool& pool) {
  require(matrices == DType::f32 || matrices == DType::bf16 || is_quantized(matrices),
          "random weights: type {} cannot be made (f32, bf16, int8, int4 can)", name_of(matrices));
  LoadedWeights w;
  model_params(spec, w.weights, [&](const std::string& name, CpuWeight& p, const ParamSpec& param) {
    p.dims = CpuWeight::dims_of(param.shape);
    if (param.is_matrix()) p.dtype = stored_type(param, matrices, DType::bf16);
    if (is_quantized(p.dtype)) {
      make_quantized(w, p, name, seed, pool);
    } else {
      std::byte* data = own(w, matrix_bytes(p.dtype, p.dims.outer, p.dims.inner));
      each_block(numel(param.shape), pool, [&](int64_t b, int64_t begin, int64_t end) {
        fill(data, p.dtype, begin, end, Rng(mix64(seed + b), name), param);
      });
      p.data = data;
    }
    add_up(w, p);
  });
  return w;
}

}  // namespace jet
