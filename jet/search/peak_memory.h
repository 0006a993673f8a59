// The most memory that this process had at once since a moment, as Linux counts it in /proc/self/status.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace jet {

class PeakMemory {
 public:
  /// From now on. Memory that was freed goes back to the system first.
  PeakMemory();
  ~PeakMemory();
  PeakMemory(const PeakMemory&) = delete;
  PeakMemory& operator=(const PeakMemory&) = delete;
  /// Resident bytes, mapped files included (VmHWM; 0 where the system does not say).
  int64_t resident() const;
  /// Bytes that are no file's (RssAnon), as looked at every 20 ms.
  int64_t anonymous() const { return anonymous_; }

 private:
  std::atomic<int64_t> anonymous_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread watcher_;
};

}  // namespace jet
