// The instruction sets that the bricks are compiled for: x86-64 levels 4 (AVX-512; with VNNI; with VNNI and BF16; with
// AMX, too), 3 (AVX2, FMA) and whatever the compiler takes as its base.
#pragma once

#include "jet/kernels/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define JET_X86_LEVELS 1
#endif

namespace jet {

#ifdef JET_X86_LEVELS
const Kernels& kernels_amx();
const Kernels& kernels_v4_bf16();
const Kernels& kernels_v4_vnni();
const Kernels& kernels_v4();
const Kernels& kernels_v3();
#endif
const Kernels& kernels_base();

/// Memory that a brick keeps between calls. No std::vector: its functions, compiled for AVX-512 in one file, could be
/// the ones that the linker keeps for the whole program.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  /// At least n floats, aligned to 64 bytes; what was there is lost where it grows.
  float* floats(int64_t n);

 private:
  float* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace jet
