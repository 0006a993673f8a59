// All bricks, for the instruction set that the including file has named by JET_ISA_NAMESPACE, JET_LANES,
// JET_TILE_TOKENS and JET_TILE_ROWS. Included once by each isa_*.cc; hence no include guard.
#include "jet/kernels/vector_bricks.h"

#include "jet/kernels/matmul_bricks.h"

#include "jet/kernels/attend_bricks.h"

#include "jet/kernels/recurrence_bricks.h"
