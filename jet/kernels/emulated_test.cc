// The AVX-512 bricks with VNNI and BF16, their instructions as loops: tested on machines that have none of them.
#include "jet/kernels/emulated.h"
#include "jet/kernels/bricks_includes.h"

#define JET_ISA_NAMESPACE isa_emulated
#define JET_ISA_NAME "emulated-avx512-bf16"
#define JET_LANES 16
#define JET_TILE_TOKENS 4
#define JET_TILE_ROWS 4
#define JET_INT_DOT 2
#define JET_BF16_DOT 1
#define JET_EMULATE
#include "jet/kernels/bricks.h"

const jet::Kernels& jet::kernels_emulated() { return isa_emulated::table(); }
