// Kernels for comparisons with references in fp32.
#pragma once

#include "jet/kernels/kernels.h"

namespace jet {

/// kernels(), or the best after it that keeps activations in fp32 beside bf16 weights: BF16 and AMX round them.
const Kernels& exact_kernels();

}  // namespace jet
