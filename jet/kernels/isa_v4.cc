#include "jet/kernels/isa.h"

#ifdef JET_X86_LEVELS
#include "jet/kernels/bricks_includes.h"
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#define JET_ISA_NAMESPACE isa_v4
#define JET_ISA_NAME "avx512"
#define JET_LANES 16
#define JET_TILE_TOKENS 4
#define JET_TILE_ROWS 4
#define JET_INT_DOT 1
#define JET_BF16_DOT 0
#include "jet/kernels/bricks.h"

const jet::Kernels& jet::kernels_v4() { return isa_v4::table(); }
#pragma GCC pop_options
#endif
