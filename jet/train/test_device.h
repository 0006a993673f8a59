// For tests: a device of its own for libtorch, called "far", that stands in for a GPU. Its memory is the host's and its
// operators are the CPU's, but, as on a GPU, one that is given tensors of both is an error. (Tensors without dimensions
// may come from the CPU, as numbers.)
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <cstdlib>
#include <cstring>

namespace jet {

namespace far {

constexpr auto kType = c10::DeviceType::PrivateUse1;

struct Allocator : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes > 0 ? std::malloc(bytes) : nullptr;
    return {data, data, &std::free, c10::Device(kType, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

struct Guard : c10::impl::NoOpDeviceGuardImpl<kType> {
  c10::Device exchangeDevice(c10::Device) const override { return {kType, 0}; }
  c10::Device getDevice() const override { return {kType, 0}; }
  c10::Stream getStream(c10::Device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, c10::Device(kType, 0));
  }
  c10::Stream getNewStream(c10::Device d, int) const override { return getStream(d); }
  c10::Stream exchangeStream(c10::Stream s) const noexcept override { return s; }
  // Whatever is started is done at once, so streams and events have nothing to wait for.
  c10::Stream getStreamFromGlobalPool(c10::Device d, bool) const override { return getStream(d); }
  void* getStreamNativeHandle(c10::Stream) const override { return nullptr; }
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
};

struct Hooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {  // at::manual_seed() asks every device
    static const at::Generator own = at::detail::createCPUGenerator();
    return own;
  }
};

inline Allocator allocator;
inline Hooks hooks;
constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

inline at::Tensor empty(c10::SymIntArrayRef size, std::optional<at::ScalarType> type, std::optional<c10::Layout>,
                        std::optional<c10::Device>, std::optional<bool>, std::optional<c10::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &allocator, kKeys, c10::dtype_or_default(type),
                                   format);
}
inline at::Tensor empty_strided(c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                                std::optional<at::ScalarType> type, std::optional<c10::Layout>,
                                std::optional<c10::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &allocator,
                                           kKeys, c10::dtype_or_default(type));
}

/// The same memory as a tensor of the CPU.
inline at::Tensor near(const at::Tensor& t) {
  if (t.is_cpu()) return t;
  return at::from_blob(const_cast<void*>(t.const_data_ptr()), t.sizes(), t.strides(), t.options().device(at::kCPU));
}
inline at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  near(to).copy_(near(from));
  return to;
}
// For results of any size, whose tensors come empty.
inline at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) {
    to.unsafeGetTensorImpl()->set_storage_keep_dtype(at::empty(from.sizes(), to.options()).storage());
    to.unsafeGetTensorImpl()->set_sizes_contiguous(from.sizes());
  }
  return copy_from(from, to, false);
}

inline void on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto check = [&](const at::Tensor& t) {
    TORCH_CHECK(!t.defined() || t.dim() == 0 || !t.is_cpu(), op.schema().name(), ": tensors of two devices");
  };
  const size_t n = op.schema().arguments().size();
  for (size_t i = 0; i < n; ++i) {
    const at::IValue& v = torch::jit::peek(*stack, i, n);
    if (v.isTensor()) check(v.toTensor());
    if (v.isTensorList()) {
      for (const at::Tensor& t : v.toTensorList()) check(t);
    }
    if (v.isOptionalTensorList()) {
      for (const std::optional<at::Tensor>& t : v.toOptionalTensorList()) check(t.value_or(at::Tensor()));
    }
  }
  at::native::cpu_fallback(op, stack);
}

}  // namespace far

/// The device, there from the first call on.
inline at::Device far_device() {
  [[maybe_unused]] static const bool once = [] {
    c10::register_privateuse1_backend("far");
    at::RegisterPrivateUse1HooksInterface(&far::hooks);
    c10::SetAllocator(far::kType, &far::allocator);
    return true;
  }();
  return {far::kType, 0};
}

/// The device whose training is compared with the CPU's: a GPU where there is one, else the stand-in. (libtorch's
/// autograd takes two in one process for one.)
inline at::Device other_device() { return at::getNumGPUs() > 0 ? at::Device(at::kCUDA, 0) : far_device(); }

C10_REGISTER_GUARD_IMPL(PrivateUse1, far::Guard)

TORCH_LIBRARY_IMPL(_, PrivateUse1, all) { all.fallback(torch::CppFunction::makeFromBoxedFunction<&far::on_cpu>()); }
TORCH_LIBRARY_IMPL(aten, PrivateUse1, own) {
  own.impl("empty.memory_format", &far::empty);
  own.impl("empty_strided", &far::empty_strided);
  own.impl("_copy_from", &far::copy_from);
  own.impl("_copy_from_and_resize", &far::copy_from_and_resize);
  own.impl("view", &at::native::view);
  own.impl("as_strided", &at::native::as_strided_tensorimpl);
  own.impl("_reshape_alias", &at::native::_reshape_alias);
}

}  // namespace jet
