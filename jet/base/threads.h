// One persistent pool. parallel_for splits [0, n) into at most size() contiguous ranges, runs one on the calling thread
// and returns when all are done. Calls from inside a task run serially. Idle workers sleep.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace jet {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  int size() const;
  /// body(begin, end) over disjoint ranges that cover [0, n); ranges hold at least `grain` items where n allows.
  /// An exception of a body is rethrown here.
  void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The cores this process may use, or JET_THREADS where it is set.
int default_threads();

}  // namespace jet
