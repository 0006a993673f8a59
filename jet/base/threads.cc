// How a job is shared out. Its parts are claimed from one word:
//
//   claims  | job number: 32 bits | parts left: 32 |     a thread takes part `parts - left` by writing left - 1
//
// A claim that succeeds belongs to the job whose number it saw, and that job's fields stay until its last part is done
// (`unfinished`); a worker that comes late finds another number, or no parts, and its exchange fails.
#include "jet/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "jet/base/error.h"
#include "jet/base/number.h"

namespace jet {

namespace {

thread_local bool inside_task = false;

constexpr int kPartsPerThread = 4;
// 100 to 400 us on current machines: longer than the gaps within a pass and between two, for waking a sleeper costs as
// much in a virtual machine; short enough that a pool without work costs nothing.
constexpr int kSpins = 10000;

/// Returns once `value` is no longer `old`: spins a while, then sleeps.
void wait_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

struct ThreadPool::Impl {
  std::vector<std::thread> workers;
  alignas(64) std::atomic<uint64_t> claims{0};
  alignas(64) std::atomic<uint32_t> unfinished{0};
  alignas(64) std::atomic<uint32_t> job{0};  // its number; what workers wait for
  const std::function<void(int64_t, int64_t)>* body = nullptr;
  int64_t n = 0;
  int64_t parts = 0;
  std::atomic<bool> stop{false};
  std::mutex error_mutex;
  std::exception_ptr error;

  void work() {
    uint64_t word = claims.load(std::memory_order_acquire);
    while ((word & 0xffffffff) > 0) {
      if (!claims.compare_exchange_weak(word, word - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      const int64_t left = static_cast<int64_t>(word & 0xffffffff), part = parts - left;
      inside_task = true;
      try {
        (*body)(n * part / parts, n * (part + 1) / parts);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
      inside_task = false;
      if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_all();
      word = claims.load(std::memory_order_acquire);
    }
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  require(threads >= 1 && threads <= kMostThreads, "threads: {} is not in 1..{}", threads, kMostThreads);
  for (int i = 1; i < threads; ++i) {
    impl_->workers.emplace_back([this] {
      for (uint32_t seen = 0; !impl_->stop.load(std::memory_order_acquire);) {
        wait_change(impl_->job, seen);
        seen = impl_->job.load(std::memory_order_acquire);
        impl_->work();
      }
    });
  }
}

ThreadPool::~ThreadPool() {
  impl_->stop.store(true, std::memory_order_release);
  impl_->job.fetch_add(1, std::memory_order_acq_rel);
  impl_->job.notify_all();
  for (auto& w : impl_->workers) w.join();
}

int ThreadPool::size() const { return static_cast<int>(impl_->workers.size()) + 1; }

void ThreadPool::parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  const int64_t parts = std::min<int64_t>(n / std::max<int64_t>(grain, 1), int64_t{kPartsPerThread} * size());
  if (parts <= 1 || size() == 1 || inside_task) {
    body(0, n);
    return;
  }
  Impl& p = *impl_;
  p.body = &body;
  p.n = n;
  p.parts = parts;
  p.unfinished.store(static_cast<uint32_t>(parts), std::memory_order_relaxed);
  const uint32_t job = p.job.load(std::memory_order_relaxed) + 1;
  p.claims.store(uint64_t{job} << 32 | static_cast<uint64_t>(parts), std::memory_order_release);
  p.job.store(job, std::memory_order_release);
  p.job.notify_all();
  p.work();
  for (uint32_t left; (left = p.unfinished.load(std::memory_order_acquire)) > 0;) wait_change(p.unfinished, left);
  if (auto error = std::exchange(p.error, nullptr)) std::rethrow_exception(error);
}

int default_threads() {
  if (const char* text = std::getenv("JET_THREADS")) return read_number("JET_THREADS", text, 1, kMostThreads);
  cpu_set_t cores;  // mpirun and srun bind a process to some; hardware_concurrency() counts all
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace jet
