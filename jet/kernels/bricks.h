// All bricks, for the instruction set that the including file has named by JET_ISA_NAMESPACE, JET_LANES,
// JET_TILE_TOKENS, JET_TILE_ROWS, JET_INT_DOT and JET_BF16_DOT (dot_bricks.h), and JET_AMX where it has tiles. Included
// once by each isa_*.cc; hence no include guard. JET_PRODUCTS_OVER: a table of the same vectors, whose attention,
// recurrences and smaller loops are taken from there, as they would be compiled to the same instructions again.
#include "jet/kernels/vector_bricks.h"

#include "jet/kernels/dot_bricks.h"

#include "jet/kernels/gemm_bricks.h"

#include "jet/kernels/block_bricks.h"

#include "jet/kernels/tile_bricks.h"

#include "jet/kernels/amx_bricks.h"

#include "jet/kernels/quad_tile_bricks.h"

#include "jet/kernels/matmul_bricks.h"

#ifdef JET_PRODUCTS_OVER

namespace jet::JET_ISA_NAMESPACE {
namespace {
[[maybe_unused]] void attend_in_floats(const AttendTask& a) { JET_PRODUCTS_OVER().attend(a); }
}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE

#include "jet/kernels/attend_halves_bricks.h"

namespace jet::JET_ISA_NAMESPACE {
const Kernels& table() {
  static const Kernels made = [] {
    Kernels k = JET_PRODUCTS_OVER();
    k.name = JET_ISA_NAME;
    k.packed_floats = matmul_packed_floats, k.pack = matmul_pack, k.matmul = matmul;
#if JET_BF16_DOT
    k.attend = attend_halves;
#endif
    return k;
  }();
  return made;
}
}  // namespace jet::JET_ISA_NAMESPACE

#else

#include "jet/kernels/attend_bricks.h"

namespace jet::JET_ISA_NAMESPACE {
namespace {
[[maybe_unused]] void attend_in_floats(const AttendTask& a) { attend(a); }
}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE

#include "jet/kernels/attend_halves_bricks.h"

#include "jet/kernels/chunk_bricks.h"

#include "jet/kernels/recurrence_bricks.h"

#include "jet/kernels/map_bricks.h"

namespace jet::JET_ISA_NAMESPACE {
const Kernels& table() {
#if JET_BF16_DOT
  constexpr auto attend_best = attend_halves;
#else
  constexpr auto attend_best = attend;
#endif
  static constexpr Kernels kTable = {JET_ISA_NAME, matmul_packed_floats, matmul_pack,      matmul,       attend_best,
                                     recurrence,   multiply_rows,        transpose_floats, exponentials, gated,
                                     map,          widen_numbers<bf16>,  round_numbers};
  return kTable;
}
}  // namespace jet::JET_ISA_NAMESPACE

#endif
