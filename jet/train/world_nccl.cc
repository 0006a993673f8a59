#include "jet/train/world_nccl.h"

#include "jet/base/error.h"

#ifdef JET_NCCL

#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <nccl.h>

#include <cstring>

namespace jet {
namespace {

void check(ncclResult_t result, const char* what) {
  require(result == ncclSuccess, "NCCL: {}: {} ({})", what, ncclGetErrorString(result), ncclGetLastError(nullptr));
}

class NcclLink : public GpuLink {
 public:
  NcclLink(World& world, c10::Device device)
      : device_(device), rank_(world.rank()), gpu_(device.type()), own_(gpu_.getStreamFromGlobalPool(device, true)),
        stream_(static_cast<cudaStream_t>(own_.native_handle())) {
    ncclUniqueId id{};
    if (world.first()) check(ncclGetUniqueId(&id), "no id");
    std::string text(reinterpret_cast<const char*>(&id), sizeof(id));
    world.broadcast(text);
    std::memcpy(&id, text.data(), sizeof(id));
    const c10::DeviceGuard on(device_);
    check(ncclCommInitRank(&comm_, world.size(), id, rank_), "processes cannot be joined; each needs its own GPU");
  }
  ~NcclLink() override { ncclCommDestroy(comm_); }

  void sum(const at::Tensor& x) override {
    after_computation();
    check(ncclAllReduce(data(x), data(x), x.numel(), ncclFloat, ncclSum, comm_, stream_), "sum");
  }
  void broadcast(const at::Tensor& x, int from) override {
    after_computation();
    check(ncclBroadcast(data(x), data(x), x.numel(), ncclFloat, from, comm_, stream_), "broadcast");
  }
  void move(const at::Tensor& x, int from, int to) override {
    after_computation();
    if (rank_ == from) check(ncclSend(data(x), x.numel(), ncclFloat, to, comm_, stream_), "send");
    if (rank_ == to) check(ncclRecv(data(x), x.numel(), ncclFloat, from, comm_, stream_), "receive");
    wait();
  }
  void wait() override { follow(own_, gpu_.getStream(device_)); }

 private:
  float* data(const at::Tensor& x) const {
    require(x.device() == device_ && x.scalar_type() == at::kFloat && x.is_contiguous(),
            "many processes: a trained tensor must be contiguous fp32 on {}, one on {} is not", device_.str(),
            x.device().str());
    return x.data_ptr<float>();
  }
  void after_computation() const { follow(gpu_.getStream(device_), own_); }
  // What comes later on `second` waits for what is on `first` now.
  void follow(const c10::Stream& first, const c10::Stream& second) const {
    c10::Event now(device_.type());
    now.record(first);
    now.block(second);
  }

  c10::Device device_;
  int rank_;
  c10::impl::VirtualGuardImpl gpu_;
  c10::Stream own_;
  cudaStream_t stream_;  // the same
  ncclComm_t comm_ = nullptr;
};

}  // namespace

std::unique_ptr<GpuLink> link_gpus(World& world, c10::Device device) {
  return std::make_unique<NcclLink>(world, device);
}

std::string nccl_version() {
  int version = 0;
  check(ncclGetVersion(&version), "no version");
  return fmt::format("NCCL {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace jet

#else

namespace jet {

std::unique_ptr<GpuLink> link_gpus(World& /*world*/, c10::Device device) {
  fail(
      "one of many processes trains on {}, but this program was built without NCCL: build it against a PyTorch for "
      "CUDA (docs/many_processes.md), or set device = \"cpu\"",
      device.str());
}

std::string nccl_version() { return "no NCCL"; }

}  // namespace jet

#endif
