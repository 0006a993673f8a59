// For tests: see emulated_test.cc, emulated_amx_test.cc.
#pragma once

#include "jet/kernels/kernels.h"

namespace jet {
const Kernels& kernels_emulated();
const Kernels& kernels_emulated_amx();
}  // namespace jet
