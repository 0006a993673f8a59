// Numbers below 2^-126 take an x86 core a hundred times as long as others. Strong decays make them: a recurrence's
// products of e^(G_t - G_s) and gradients. Training slowed down to a quarter as its decays grew.
#pragma once

#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace jet {

/// While it lives, this thread reads and writes zero for such numbers. Not for work on weights in f16, whose smallest
/// numbers pass through them.
class FlushDenormals {
#ifdef __SSE__
 public:
  FlushDenormals() : before_(_mm_getcsr()) {
    constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
    _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero);
  }
  ~FlushDenormals() { _mm_setcsr(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned before_;
#endif
};

}  // namespace jet
