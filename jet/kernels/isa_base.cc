#include "jet/kernels/bricks_includes.h"
#include "jet/kernels/isa.h"

#define JET_ISA_NAMESPACE isa_base
#define JET_LANES 4
#define JET_TILE_TOKENS 2
#define JET_TILE_ROWS 4
#include "jet/kernels/bricks.h"

namespace jet {
const Kernels& kernels_base() {
  static constexpr Kernels table = {"base", isa_base::matmul, isa_base::attend, isa_base::recurrence};
  return table;
}
}  // namespace jet
