// Many processes whose tensors lie on another device than the CPU (jet/train/test_device.h) train as they do on the
// CPU, also from a checkpoint in the middle. world_nccl.cc is built here against NCCL's calls made by MPI
// (fake_nccl.cc).
//
// usage: mpirun -n 3 many_gpus FOLDER
#include <cstdio>
#include <cstdlib>

#include "jet/train/test_device.h"
#include "jet/train/trainer.h"
#include "jet/train/world_nccl.cc"

namespace jet {
namespace {

using at::Tensor;

// A sum over rows of squares; `stop`: the step at which all processes leave.
std::vector<Tensor> trained(at::Device device, const std::string& checkpoint, int stop) {
  const TrainConfig c{.tokens = 12 * 6 * 8, .batch = 6, .length = 8, .lr = 0.05};
  NamedTensors parameters;
  for (const int64_t n : {3, 300000, 40, 800000}) {
    parameters.emplace_back(fmt::format("w{}", n), at::linspace(-1, 1, n).to(device));
  }
  const auto loss = [&](const Part& p) {
    if (p.step == stop) fail("stopped");
    Tensor sum = at::zeros({}, device);
    for (int row = p.from; row < p.from + p.rows; ++row) {
      for (const auto& [name, w] : parameters) {
        const Tensor target = at::sin(at::arange(w.numel()) * (1.0 + row) + double(p.step)).to(device);
        sum = sum + (w - target).square().mean() / c.batch;
      }
    }
    return sum;
  };
  train({"many GPUs", checkpoint, c, parameters, loss});
  std::vector<Tensor> out;
  for (const auto& [name, t] : parameters) out.push_back(t.cpu());
  return out;
}

void check_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b, double most) {
  for (size_t i = 0; i < a.size(); ++i) {
    const double worst = (a[i] - b[i]).abs().max().item<double>();
    require(worst <= most, "parameter {} differs by {} of at most {}", i, worst, most);
  }
}

void run(const std::string& folder) {
  require(!world().alone(), "start me with mpirun");
  const auto here = trained(at::kCPU, "", -1), there = trained(far_device(), "", -1);
  check_same(there, here, 1e-6);
  setenv("JET_SAVE_SECONDS", "0", 1);
  const std::string file = folder + "/stopped.safetensors";
  try {
    trained(far_device(), file, 5);
    fail("it did not stop");
  } catch (const Error& e) { require(std::string(e.what()) == "stopped", "{}", e.what()); }
  check_same(trained(far_device(), file, -1), there, 0);
  if (world().first()) std::printf("%d processes train alike on both devices\n", world().size());
}

}  // namespace
}  // namespace jet

int main(int, char** argv) {
  jet::join_world();
  try {
    jet::run(argv[1]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "process %d: %s\n", jet::world().rank(), e.what());
    jet::world().end_all(1);
    return 1;
  }
  jet::leave_world();
}
