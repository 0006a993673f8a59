// The time as files and answers give it.
#pragma once

#include <chrono>
#include <cstdint>

namespace jet {

/// Seconds of the epoch.
inline int64_t now_in_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace jet
