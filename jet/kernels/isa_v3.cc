#include "jet/kernels/isa.h"

#ifdef JET_X86_LEVELS
#include "jet/kernels/bricks_includes.h"
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define JET_ISA_NAMESPACE isa_v3
#define JET_ISA_NAME "avx2"
#define JET_LANES 8
#define JET_TILE_TOKENS 2
#define JET_TILE_ROWS 4
#define JET_INT_DOT 1
#define JET_BF16_DOT 0
#include "jet/kernels/bricks.h"

const jet::Kernels& jet::kernels_v3() { return isa_v3::table(); }
#pragma GCC pop_options
#endif
