// Large arrays in 2 MiB pages where the system grants them on request: fewer page walks when gigabytes stream by.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace jet {

/// Asks for huge pages inside [data, data + bytes); small arrays stay as they are. Refusal changes nothing.
inline void advise_huge_pages(void* data, size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kHuge = uintptr_t{2} << 20;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kHuge - 1) / kHuge * kHuge;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / kHuge * kHuge;
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace jet
