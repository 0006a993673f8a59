#include "jet/text/token_map.h"

#define XXH_INLINE_ALL  // for texts of a few bytes the call would take longer than the hash
#include <xxhash.h>

#include <bit>
#include <cstring>
#include <utility>

namespace jet {

uint64_t TokenMap::hash(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

void TokenMap::reserve(size_t count) {
  const size_t wanted = std::bit_ceil(2 * count + 2);
  if (wanted <= slots_.size()) return;
  const auto old = std::exchange(slots_, std::vector<Slot>(wanted));
  for (const Slot& s : old) {
    if (s.id < 0) continue;
    const std::string_view text(s.data, s.size);
    slots_[place_of(text, hash(text))] = s;
  }
}

/// The slot of `text`, or the empty one where it would be.
size_t TokenMap::place_of(std::string_view text, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const auto check = static_cast<uint32_t>(hash >> 32);
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& s = slots_[i];
    if (s.id < 0) return i;
    if (s.check == check && s.size == text.size() && std::memcmp(s.data, text.data(), text.size()) == 0) return i;
  }
}

int32_t TokenMap::add(std::string_view text, int32_t id) {
  if (2 * (size_ + 1) > slots_.size()) reserve(2 * size_ + 2);
  const uint64_t h = hash(text);
  Slot& s = slots_[place_of(text, h)];
  if (s.id >= 0) return s.id;
  s = {text.data(), static_cast<uint32_t>(text.size()), static_cast<uint32_t>(h >> 32), id};
  ++size_;
  return id;
}

void TokenMap::prefetch(uint64_t hash) const { __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]); }

int32_t TokenMap::find(std::string_view text, uint64_t hash) const { return slots_[place_of(text, hash)].id; }

}  // namespace jet
