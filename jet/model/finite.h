// What is written as a model's weights are numbers: NaN and the infinities have all bits of the exponent set.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "jet/tensor/dtype.h"

namespace jet {

/// Throws where numbers of tensor `name` that are about to be written are NaN or infinite; `where` names their model.
/// Types without such numbers pass.
void require_finite(DType t, std::span<const std::byte> bytes, const std::string& name, const std::string& where);

}  // namespace jet
