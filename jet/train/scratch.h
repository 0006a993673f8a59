// Tensors that lie in files: training state that does not fit in memory. Pages are written back and dropped as the
// system needs their memory, so a machine without swap can train what is larger than it.
#pragma once

#include <ATen/ATen.h>

#include <string>

namespace jet {

/// An fp32 tensor of zeros, mapped from a file of its own in `folder`. The file has no name any more when this returns:
/// it vanishes with the tensor, or with the process. Throws where the disk has no room.
at::Tensor zeros_on_disk(const std::string& folder, at::IntArrayRef shape);

}  // namespace jet
