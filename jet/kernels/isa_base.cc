#include "jet/kernels/bricks_includes.h"
#include "jet/kernels/isa.h"

#define JET_ISA_NAMESPACE isa_base
#define JET_ISA_NAME "scalar"
#define JET_LANES 4
#define JET_TILE_TOKENS 2
#define JET_TILE_ROWS 4
#define JET_INT_DOT 0
#define JET_BF16_DOT 0
#include "jet/kernels/bricks.h"

const jet::Kernels& jet::kernels_base() { return isa_base::table(); }
