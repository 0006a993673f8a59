#include "jet/train/world.h"

#include <cstdlib>
#include <memory>

#include "jet/train/world_mpi.h"

namespace jet {

Json World::from_first(const std::function<Json()>& f) {
  if (alone()) return f();
  std::string text;
  if (first()) Json::to_cbor(f(), text);  // numbers keep their bits, NaN too
  broadcast(text);
  return Json::from_cbor(text);
}

bool World::first_says(bool yes) {
  double x = first() && yes ? 1 : 0;
  sum({&x, 1});
  return x > 0;
}

std::span<float> values_of(const at::Tensor& t) {
  require(t.is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous(),
          "many processes: a trained tensor must be contiguous fp32, one of {} {} on {} is not",
          at::toString(t.scalar_type()), fmt::join(t.sizes(), " x "), t.device().str());
  return {t.data_ptr<float>(), static_cast<size_t>(t.numel())};
}

namespace {

std::unique_ptr<World>& joined() {
  static std::unique_ptr<World> one = std::make_unique<World>();
  return one;
}

// How many processes the launcher says it started: mpirun of Open MPI; Hydra, or srun by PMI-2; srun by PMIx.
int launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* n = std::getenv(name)) return std::atoi(n);
  }
  const char* n = std::getenv("PMIX_RANK") ? std::getenv("SLURM_STEP_NUM_TASKS") : nullptr;
  return n ? std::atoi(n) : 1;
}

}  // namespace

World& world() { return *joined(); }

void join_world() {
  const int n = launched();
  if (n <= 1 || !world().alone()) return;
  joined() = join_mpi();
  require(world().size() == n,
          "started as one of {} processes, but MPI ({}) sees {}: start with the mpirun of that MPI", n, mpi_version(),
          world().size());
}

void leave_world() { joined() = std::make_unique<World>(); }

}  // namespace jet
