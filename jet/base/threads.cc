#include "jet/base/threads.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "jet/base/error.h"

namespace jet {

namespace {
thread_local bool inside_task = false;
}

struct ThreadPool::Impl {
  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable start, done;
  const std::function<void(int64_t, int64_t)>* body = nullptr;
  int64_t n = 0;
  int parts = 0;
  int next_part = 0, running = 0;
  bool stop = false;
  std::exception_ptr error;

  // Takes parts until none is left; called with `lock` held, on workers and on the caller alike.
  void work(std::unique_lock<std::mutex>& lock) {
    while (next_part < parts) {
      const int p = next_part++;
      ++running;
      const auto* f = body;
      const int64_t begin = n * p / parts, end = n * (p + 1) / parts;
      lock.unlock();
      std::exception_ptr caught;
      inside_task = true;
      try {
        (*f)(begin, end);
      } catch (...) { caught = std::current_exception(); }
      inside_task = false;
      lock.lock();
      if (caught && !error) error = caught;
      if (--running == 0 && next_part >= parts) done.notify_all();
    }
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  require(threads >= 1 && threads <= 4096, "threads: {} is not in 1..4096", threads);
  for (int i = 1; i < threads; ++i) {
    impl_->workers.emplace_back([this] {
      std::unique_lock lock(impl_->mutex);
      while (true) {
        impl_->start.wait(lock, [this] { return impl_->stop || impl_->next_part < impl_->parts; });
        if (impl_->stop) return;
        impl_->work(lock);
      }
    });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->start.notify_all();
  for (auto& w : impl_->workers) w.join();
}

int ThreadPool::size() const { return static_cast<int>(impl_->workers.size()) + 1; }

void ThreadPool::parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  const int64_t parts = std::clamp<int64_t>(n / std::max<int64_t>(grain, 1), 1, size());
  if (parts == 1 || inside_task) {
    body(0, n);
    return;
  }
  std::unique_lock lock(impl_->mutex);
  impl_->body = &body;
  impl_->n = n;
  impl_->next_part = 0;
  impl_->parts = static_cast<int>(parts);
  impl_->start.notify_all();
  impl_->work(lock);
  impl_->done.wait(lock, [this] { return impl_->running == 0 && impl_->next_part >= impl_->parts; });
  impl_->parts = impl_->next_part = 0;
  if (auto error = std::exchange(impl_->error, nullptr)) std::rethrow_exception(error);
}

int default_threads() {
  if (const char* text = std::getenv("JET_THREADS")) {
    const int n = std::atoi(text);
    require(n >= 1, "JET_THREADS={}: expected a number of threads, 1 or more", text);
    return n;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace jet
