#include "jet/kernels/kernels.h"

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>

#include "jet/base/error.h"
#include "jet/kernels/isa.h"

namespace jet {
#ifdef JET_X86_LEVELS
namespace {

/// Linux lends the registers of AMX's tiles on request, to the whole process.
bool tiles_granted() {
#ifdef __linux__
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

}  // namespace
#endif

const std::vector<const Kernels*>& all_kernels() {
  static const std::vector<const Kernels*> found = [] {
    std::vector<const Kernels*> list;
#ifdef JET_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
      const bool vnni = __builtin_cpu_supports("avx512vnni");
      const bool halves = vnni && __builtin_cpu_supports("avx512bf16");
      if (halves && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
          __builtin_cpu_supports("amx-int8") && tiles_granted()) {
        list.push_back(&kernels_amx());
      }
      if (halves) list.push_back(&kernels_v4_bf16());
      if (vnni) list.push_back(&kernels_v4_vnni());
      list.push_back(&kernels_v4());
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("f16c")) {
      list.push_back(&kernels_v3());
    }
#endif
    list.push_back(&kernels_base());
    return list;
  }();
  return found;
}

const Kernels& exact_kernels() {
#ifdef JET_X86_LEVELS
  const auto& list = all_kernels();
  for (auto k = std::find(list.begin(), list.end(), &kernels()); k != list.end(); ++k) {
    if (*k != &kernels_amx() && *k != &kernels_v4_bf16()) return **k;
  }
#endif
  return kernels();
}

Scratch::~Scratch() { std::free(data_); }

float* Scratch::floats(int64_t n) {
  if (n > size_) {
    std::free(data_);
    size_ = 0;
    const size_t bytes = (static_cast<size_t>(n) * sizeof(float) + 63) / 64 * 64;
    data_ = static_cast<float*>(std::aligned_alloc(64, bytes));
    if (!data_) throw std::bad_alloc();
    size_ = n;
  }
  return data_;
}

const Kernels& kernels() {
  static const Kernels& chosen = []() -> const Kernels& {
    const char* wanted = std::getenv("JET_ISA");
    if (!wanted || !*wanted) return *all_kernels().front();
    std::string known;
    for (const Kernels* k : all_kernels()) {
      if (std::string(wanted) == k->name) return *k;
      known += std::string(known.empty() ? "" : ", ") + k->name;
    }
    fail("JET_ISA={}: this machine has no such instruction set (it has: {})", wanted, known);
  }();
  return chosen;
}

}  // namespace jet
