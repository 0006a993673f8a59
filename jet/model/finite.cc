#include "jet/model/finite.h"

#include <cstring>

#include "jet/base/error.h"

namespace jet {
namespace {

template <class Word>
bool none_has(Word exponent, std::span<const std::byte> bytes) {
  bool found = false;
  for (size_t i = 0; i + sizeof(Word) <= bytes.size(); i += sizeof(Word)) {
    Word w;
    std::memcpy(&w, &bytes[i], sizeof(w));
    found |= (w & exponent) == exponent;
  }
  return !found;
}

bool all_finite(DType t, std::span<const std::byte> bytes) {
  switch (t) {
    case DType::f32: return none_has<uint32_t>(0x7f800000u, bytes);
    case DType::bf16: return none_has<uint16_t>(0x7f80u, bytes);
    case DType::f16: return none_has<uint16_t>(0x7c00u, bytes);
    default: return true;
  }
}

}  // namespace

void require_finite(DType t, std::span<const std::byte> bytes, const std::string& name, const std::string& where) {
  require(all_finite(t, bytes), "{}: tensor '{}' holds NaN or infinity: the weights are damaged; no model is written",
          where, name);
}

}  // namespace jet
