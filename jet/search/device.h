// Where training runs and in which numbers, as a recipe names them.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

namespace jet {

/// cpu, cuda, cuda:N, or auto: cuda where libtorch finds a GPU. Of a machine's GPUs each of its processes gets the
/// next. Throws where there is no such device; `where` asks for it.
at::Device device_named(const std::string& name, const std::string& where);
/// Of matrix products: fp32, bf16, or auto (bf16 where the device has it).
at::ScalarType precision_named(const std::string& name, at::Device device);

}  // namespace jet
