// Texts of tokens to ids: open addressing over views, which must outlive the map. Vocabularies have hundreds of
// thousands of tokens, and each of their merges asks three times.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace jet {

class TokenMap {
 public:
  TokenMap() = default;
  explicit TokenMap(size_t count) { reserve(count); }
  void reserve(size_t count);
  /// The id under which `text` is there already, or else `id`, under which it is now.
  int32_t add(std::string_view text, int32_t id);
  /// -1 where the text is no token.
  int32_t find(std::string_view text) const { return find(text, hash(text)); }
  size_t size() const { return size_; }

  /// In two steps, for many searches at once: the second finds in the cache what the first asked for.
  static uint64_t hash(std::string_view text);
  void prefetch(uint64_t hash) const;
  int32_t find(std::string_view text, uint64_t hash) const;

 private:
  struct Slot {
    const char* data = nullptr;
    uint32_t size = 0, check = 0;  // check: the hash's upper half
    int32_t id = -1;
  };
  size_t place_of(std::string_view text, uint64_t hash) const;

  std::vector<Slot> slots_ = std::vector<Slot>(2);  // a power of two, never full
  size_t size_ = 0;
};

}  // namespace jet
