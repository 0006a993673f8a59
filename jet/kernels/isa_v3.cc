#include "jet/kernels/isa.h"

#ifdef JET_X86_LEVELS
#include "jet/kernels/bricks_includes.h"
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define JET_ISA_NAMESPACE isa_v3
#define JET_LANES 8
#define JET_TILE_TOKENS 2
#define JET_TILE_ROWS 4
#include "jet/kernels/bricks.h"

namespace jet {
const Kernels& kernels_v3() {
  static constexpr Kernels table = {"v3", isa_v3::matmul, isa_v3::attend, isa_v3::recurrence};
  return table;
}
}  // namespace jet
#pragma GCC pop_options
#endif
