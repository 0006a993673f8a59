// What quantizing needs to know of the layout in quant.h, beyond what reading does.
#pragma once

#include "jet/tensor/quant.h"

namespace jet {

/// Puts the 32 codes of one row of one group, integers -127..127 (int8) or -8..7 (int4), into the group's bytes.
void pack_row(DType t, const float* codes, int row, uint8_t* group);

/// The largest number that a group can hold, and the least one of a row at which scales keep some bits: below it, all
/// of its numbers count as 0 or nearly so.
constexpr float largest_held(DType t) { return 65504.0f * (t == DType::q8 ? 127 : 8); }
constexpr float least_held(DType t) { return 0x1p-20f * (t == DType::q8 ? 127 : 8); }

}  // namespace jet
