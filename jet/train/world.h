// The processes that one run is spread over, one rank each. mpirun or srun starts them and MPI joins them; a process
// that was started alone, or built without MPI, is a world of its own, where every call below returns at once.
//
// A call is made by all processes of the world, in the same order (`move`: by the two that it names). Tensors are
// contiguous fp32, on the CPU (MPI) or on a GPU (NCCL); those of started calls must live until wait() returns.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <span>
#include <string>

#include "jet/base/json.h"

namespace jet {

class World {
 public:
  World() = default;
  virtual ~World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  virtual int rank() const { return 0; }
  virtual int size() const { return 1; }
  bool first() const { return rank() == 0; }
  bool alone() const { return size() == 1; }
  /// Among the processes of this machine: what tells them which GPU is whose.
  virtual int local_rank() const { return 0; }

  /// Starts adding up x over the processes, in place.
  virtual void start_sum(const at::Tensor& /*x*/) {}
  /// Starts copying x of process `from` to all others.
  virtual void start_broadcast(const at::Tensor& /*x*/, int /*from*/) {}
  /// Moves on what was started: MPI works inside its own calls only, so whoever computes meanwhile calls this at times.
  virtual void poll() {}
  /// Returns when all that was started is done; on a GPU, when all that follows there will find it done.
  virtual void wait() {}

  /// x added up over the processes, in place: the same bits on all of them.
  virtual void sum(std::span<double> /*x*/) {}
  /// Copies x of process `from` to process `to`.
  virtual void move(const at::Tensor& /*x*/, int /*from*/, int /*to*/) {}
  /// The first process's text, to all. Those that wait for it sleep, so that its threads may have every core.
  virtual void broadcast(std::string& /*text*/) {}

  /// Has the launcher end the other processes of the world, and this one, with this exit code; nothing in a world of
  /// one.
  virtual void end_all(int /*code*/) {}

  /// What f() gives in the first process; the others do not run it. f must not call the world.
  Json from_first(const std::function<Json()>& f);
  /// What the first process answers.
  bool first_says(bool yes);
};

/// The world of this process: itself alone, until join_world().
World& world();

/// Joins the processes that mpirun or srun started together with this one, if any. Throws where there are others but
/// this program was built without MPI, or MPI does not see them.
void join_world();
/// Ends MPI, where join_world() started it: the last call of a process that went well.
void leave_world();

/// The values of a contiguous fp32 tensor on the CPU; throws for any other.
std::span<float> values_of(const at::Tensor& t);

/// "Open MPI v4.1.4", or "no MPI".
std::string mpi_version();
/// "NCCL 2.27.7", or "no NCCL".
std::string nccl_version();

}  // namespace jet
