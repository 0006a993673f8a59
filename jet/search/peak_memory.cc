#include "jet/search/peak_memory.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

namespace jet {

namespace {

// "VmHWM:     1234 kB" of /proc/self/status, in bytes.
int64_t status(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string name; file >> name; file.ignore(4096, '\n')) {
    int64_t kilobytes = 0;
    if (name == key + ":" && file >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace

PeakMemory::PeakMemory() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM starts again at what is resident now
  watcher_ = std::thread([this] {
    while (!stop_) {
      anonymous_ = std::max<int64_t>(anonymous_, status("RssAnon"));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
}

PeakMemory::~PeakMemory() {
  stop_ = true;
  watcher_.join();
}

int64_t PeakMemory::resident() const { return status("VmHWM"); }

}  // namespace jet
