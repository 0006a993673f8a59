// One persistent pool. parallel_for splits [0, n) into contiguous ranges, a few for each thread, and each thread takes
// the next one when it is free, so that a thread which the system holds up delays the others little. Calls from inside
// a task run serially. Waiting threads spin for some microseconds, then sleep: an idle pool costs nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace jet {

inline constexpr int kMostThreads = 4096;

/// A round of a loop that waits for another thread.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// One thread at a time may call it.
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
/// As many as are asked for; 0: default_threads().
inline int threads_asked(int n) { return n > 0 ? n : default_threads(); }

}  // namespace jet
