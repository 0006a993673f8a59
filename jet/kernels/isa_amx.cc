#include "jet/kernels/isa.h"

#ifdef JET_X86_LEVELS
#include "jet/kernels/bricks_includes.h"
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512vnni,avx512bf16,amx-tile,amx-bf16,amx-int8,prefer-vector-width=512")
#define JET_ISA_NAMESPACE isa_amx
#define JET_ISA_NAME "amx"
#define JET_PRODUCTS_OVER kernels_v4
#define JET_LANES 16
#define JET_TILE_TOKENS 4
#define JET_TILE_ROWS 4
#define JET_INT_DOT 2
#define JET_BF16_DOT 1
#define JET_AMX 1
#include "jet/kernels/bricks.h"

const jet::Kernels& jet::kernels_amx() { return isa_amx::table(); }
#pragma GCC pop_options
#endif
