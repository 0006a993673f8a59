#include "jet/kernels/isa.h"

#ifdef JET_X86_LEVELS
#include "jet/kernels/bricks_includes.h"
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#define JET_ISA_NAMESPACE isa_v4
#define JET_LANES 16
#define JET_TILE_TOKENS 4
#define JET_TILE_ROWS 4
#include "jet/kernels/bricks.h"

namespace jet {
const Kernels& kernels_v4() {
  static constexpr Kernels table = {"v4", isa_v4::matmul, isa_v4::attend, isa_v4::recurrence};
  return table;
}
}  // namespace jet
#pragma GCC pop_options
#endif
