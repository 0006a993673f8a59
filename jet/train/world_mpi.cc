#include "jet/train/world_mpi.h"

#ifdef JET_MPI

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "jet/train/world_nccl.h"

namespace jet {
namespace {

// Errors of MPI itself end all processes (MPI's default), so returned codes are not looked at.
class MpiWorld : public World {
 public:
  MpiWorld() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm machine;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &local_rank_);
    MPI_Comm_free(&machine);
  }
  ~MpiWorld() override {
    gpus_.reset();
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }

  void start_sum(const at::Tensor& x) override {
    if (!x.is_cpu()) return gpus(x).sum(x);
    in_pieces(values_of(x), [&](float* data, int n) {
      MPI_Iallreduce(MPI_IN_PLACE, data, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &requests_.emplace_back());
    });
  }
  void start_broadcast(const at::Tensor& x, int from) override {
    if (!x.is_cpu()) return gpus(x).broadcast(x, from);
    in_pieces(values_of(x), [&](float* data, int n) {
      MPI_Ibcast(data, n, MPI_FLOAT, from, MPI_COMM_WORLD, &requests_.emplace_back());
    });
  }
  void poll() override {
    int done = 0;
    MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE);
  }
  void wait() override {
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
    requests_.clear();
    if (gpus_) gpus_->wait();
  }

  void sum(std::span<double> x) override {
    MPI_Allreduce(MPI_IN_PLACE, x.data(), static_cast<int>(x.size()), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  }
  void move(const at::Tensor& x, int from, int to) override {
    if (from == to) return;
    if (!x.is_cpu()) return gpus(x).move(x, from, to);
    in_pieces(values_of(x), [&](float* data, int n) {
      if (rank_ == from) MPI_Send(data, n, MPI_FLOAT, to, 0, MPI_COMM_WORLD);
      if (rank_ == to) MPI_Recv(data, n, MPI_FLOAT, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    });
  }
  void broadcast(std::string& text) override {
    uint64_t bytes = text.size();
    MPI_Request request;
    MPI_Ibcast(&bytes, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD, &request);
    for (int done = 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE), !done;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    text.resize(bytes);
    in_pieces(std::span<char>(text), [](char* data, int n) { MPI_Bcast(data, n, MPI_BYTE, 0, MPI_COMM_WORLD); });
  }

  void end_all(int code) override { MPI_Abort(MPI_COMM_WORLD, code); }

 private:
  // MPI counts in int.
  template <class T, class F>
  static void in_pieces(std::span<T> x, F&& f) {
    constexpr size_t kPiece = size_t{1} << 30;
    for (size_t i = 0; i < x.size(); i += kPiece) f(x.data() + i, static_cast<int>(std::min(kPiece, x.size() - i)));
  }

  // All processes come here at the same time, with the first tensor of theirs that lies on a GPU.
  GpuLink& gpus(const at::Tensor& x) {
    if (!gpus_) gpus_ = link_gpus(*this, x.device());
    return *gpus_;
  }

  int rank_ = 0, size_ = 1, local_rank_ = 0;
  std::vector<MPI_Request> requests_;
  std::unique_ptr<GpuLink> gpus_;
};

}  // namespace

std::unique_ptr<World> join_mpi() { return std::make_unique<MpiWorld>(); }

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int n = 0;
  MPI_Get_library_version(text, &n);
  const std::string whole(text, n);
  return whole.substr(0, whole.find(','));  // Open MPI adds where it was built, MPICH everything else
}

}  // namespace jet

#else

namespace jet {

std::unique_ptr<World> join_mpi() {
  fail(
      "started as one of many processes, but built without MPI: install libopenmpi-dev and openmpi-bin and build "
      "again, or start one process");
}

std::string mpi_version() { return "no MPI"; }

}  // namespace jet

#endif
