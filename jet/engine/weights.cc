#include "jet/engine/weights.h"

#include <cstring>

#include "jet/base/rng.h"
#include "jet/base/threads.h"
#include "jet/blocks/init.h"

namespace jet {

namespace {

/// What linear() and embed() read stays as it is stored; all else is small and is used as floats.
bool is_matrix(const std::string& name, const ParamSpec& p) { return p.shape.size() == 2 && name.ends_with(".weight"); }

std::byte* own(LoadedWeights& w, size_t bytes) {
  return w.owned.emplace_back(std::make_unique_for_overwrite<std::byte[]>(bytes)).get();
}

/// A few bytes of every parameter tell one model's weights from another's.
void add_to_hash(LoadedWeights& w, const CpuWeight& p) {
  const size_t bytes = std::min<size_t>(256, p.dims.count() * size_of(p.dtype));
  w.hash = hash64({static_cast<const char*>(p.data), bytes}, w.hash);
}

}  // namespace

LoadedWeights load_weights(Checkpoint checkpoint) {
  LoadedWeights w;
  w.files = checkpoint.tensors;
  model_params(checkpoint.spec, w.weights, [&](const std::string& name, CpuWeight& p, const ParamSpec& spec) {
    const StoredTensor& t = checkpoint.tensors.at(name);
    p.dims = CpuWeight::dims_of(spec.shape);
    if (is_matrix(name, spec)) {
      p.dtype = t.dtype;
      p.data = t.bytes.data();
      if (reinterpret_cast<uintptr_t>(p.data) % size_of(t.dtype) != 0) {
        std::byte* copy = own(w, t.bytes.size());
        std::memcpy(copy, t.bytes.data(), t.bytes.size());
        p.data = copy;
      }
    } else {
      const std::vector<float> values = checkpoint.floats(name);
      std::byte* copy = own(w, values.size() * sizeof(float));
      std::memcpy(copy, values.data(), values.size() * sizeof(float));
      p.data = copy;
    }
    w.bytes += p.dims.count() * static_cast<int64_t>(size_of(p.dtype));
    add_to_hash(w, p);
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

}  // namespace

LoadedWeights random_weights(const ModelSpec& spec, uint64_t seed, DType matrices, ThreadPool& pool) {
  require(matrices == DType::f32 || matrices == DType::bf16, "random weights: type {} cannot be made (f32, bf16 can)",
          name_of(matrices));
  LoadedWeights w;
  model_params(spec, w.weights, [&](const std::string& name, CpuWeight& p, const ParamSpec& param) {
    p.dims = CpuWeight::dims_of(param.shape);
    p.dtype = is_matrix(name, param) ? matrices : DType::f32;
    const int64_t n = numel(param.shape), bytes = n * static_cast<int64_t>(size_of(p.dtype));
    std::byte* data = own(w, bytes);
    pool.parallel_for((n + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        fill(data, p.dtype, b * kBlock, std::min(n, (b + 1) * kBlock), Rng(mix64(seed + b), name), param);
      }
    });
    p.data = data;
    w.bytes += bytes;
    add_to_hash(w, p);
  });
  return w;
}

}  // namespace jet
