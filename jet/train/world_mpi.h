// The world of processes that MPI joins.
#pragma once

#include <memory>

#include "jet/train/world.h"

namespace jet {

/// Starts MPI; throws where this program was built without it. The destructor ends MPI.
std::unique_ptr<World> join_mpi();

}  // namespace jet
