#include "jet/engine/cpu/cpu_backend.h"

#include <map>
#include <utility>

#include "jet/model/transformer.h"

namespace jet {

CpuBackend::CpuBackend(ModelSpec spec, EngineOptions options)
    : spec_(std::move(spec)), options_(options), pool_(threads_asked(options.threads)), arena_(options.poison),
      ops_(pool_, arena_, meter_, options.exact ? exact_kernels() : kernels(), options.exact) {
  int n = 0;
  model_state(spec_, state_, [&](int, const char*, CpuState& handle, const StateSpec&) { handle.index = n++; });
}

CountTypes CpuBackend::count_types() const {
  std::map<std::string, DType> types;
  ModelWeights<CpuWeight> weights = loaded_.weights;  // handles
  model_params(spec_, weights,
               [&](const std::string& name, const CpuWeight& w, const ParamSpec&) { types[name] = w.dtype; });
  CountTypes t;
  t.weights = [types = std::move(types)](const std::string& name, const ParamSpec&) { return types.at(name); };
  t.kv = options_.kv, t.state = options_.state;
  return t;
}

std::span<const float> CpuBackend::run(std::span<const Segment> segments, std::span<const int32_t> ids,
                                       const See& see) {
  logits_ = {};  // its memory serves this pass
  ops_.begin(segments);
  logits_ = forward(ids, see);
  return numbers(logits_);
}

CpuTensor CpuBackend::forward(std::span<const int32_t> ids, const See& see) {
  const auto watch = [&](const char* name, int layer, const CpuTensor& x) {
    if (see) see(name, layer, numbers(x));
  };
  return logits_forward(ops_, spec_, loaded_.weights, ids, state_, watch);
}

}  // namespace jet
