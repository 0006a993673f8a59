// For tests: see emulated_test.cc.
#pragma once

#include "jet/kernels/kernels.h"

namespace jet {
const Kernels& kernels_emulated();
}
