// What each kind of op costs: time, the bytes it must move and the FLOPs it must do. Off unless asked for; a scope
// around an op on the engine's own thread adds to the kind's totals.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace jet {

struct OpTotals {
  int64_t calls = 0;
  double seconds = 0, bytes = 0, flops = 0;
};

class OpMeter {
 public:
  bool on = false;
  std::map<std::string, OpTotals> totals;  // by kind: "linear bf16", "attention", "recurrence", ...

  class Scope {
   public:
    Scope(OpMeter& meter, const char* kind, double bytes, double flops) : meter_(meter.on ? &meter : nullptr) {
      if (!meter_) return;
      OpTotals& t = meter_->totals[kind];
      ++t.calls, t.bytes += bytes, t.flops += flops;
      totals_ = &t;
      start_ = std::chrono::steady_clock::now();
    }
    ~Scope() {
      if (meter_) totals_->seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    OpMeter* meter_;
    OpTotals* totals_ = nullptr;
    std::chrono::steady_clock::time_point start_;
  };
};

}  // namespace jet
