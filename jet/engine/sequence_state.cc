#include "jet/engine/sequence_state.h"

namespace jet {

int64_t StateLayout::bytes(int64_t tokens) const {
  int64_t n = 0;
  for (const Entry& e : entries) {
    const Shape s = shape(e, tokens);
    n += numel(s) * static_cast<int64_t>(size_of(type(e)));
    if (type(e) == DType::i8) n += s[0] * s[1] * static_cast<int64_t>(sizeof(float));
  }
  return n;
}

}  // namespace jet
