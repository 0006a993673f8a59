// The bricks with AMX, their instructions as loops: tested on machines that have none of them.
#include "jet/kernels/bricks_includes.h"
#include "jet/kernels/emulated.h"

#define JET_ISA_NAMESPACE isa_emulated_amx
#define JET_ISA_NAME "emulated-amx-bf16"
#define JET_PRODUCTS_OVER kernels_emulated
#define JET_LANES 16
#define JET_TILE_TOKENS 4
#define JET_TILE_ROWS 4
#define JET_INT_DOT 2
#define JET_BF16_DOT 1
#define JET_AMX 1
#define JET_EMULATE
#include "jet/kernels/bricks.h"

const jet::Kernels& jet::kernels_emulated_amx() { return isa_emulated_amx::table(); }
