#include "jet/search/device.h"

#include <algorithm>
#include <optional>

#include <ATen/Context.h>
#include <torch/version.h>

#include "jet/base/error.h"
#include "jet/train/world.h"

namespace jet {

at::Device device_named(const std::string& name, const std::string& where) {
  if (name == "auto") return device_named(at::getNumGPUs() > 0 ? "cuda" : "cpu", where);
  std::optional<at::Device> device;
  try {
    device = at::Device(name);
  } catch (const c10::Error&) { fail("{}: device '{}' is unknown (known: auto, cpu, cuda, cuda:N)", where, name); }
  if (!device->is_cuda()) return *device;
  const auto gpus = static_cast<int>(at::getNumGPUs());
  require(std::max<int>(0, device->index()) < gpus, "{}: device '{}': libtorch {} finds {} GPUs{}", where, name,
          TORCH_VERSION, gpus, at::globalContext().hasCUDART() ? "" : ": it was built without CUDA");
  return device->has_index() ? *device : at::Device(at::kCUDA, at::DeviceIndex(world().local_rank() % gpus));
}

at::ScalarType precision_named(const std::string& name, at::Device device) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  return !device.is_cpu() || __builtin_cpu_supports("avx512bf16") ? at::kBFloat16 : at::kFloat;
}

}  // namespace jet
