// Hashes of contents: XXH3, 64 bits, as `xxhsum -H3` prints them. They find damage and change, not malice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace jet {

uint64_t content_hash(const void* data, size_t bytes);
inline uint64_t content_hash(std::string_view text) { return content_hash(text.data(), text.size()); }
/// Of a file as it lies, mapped: of any size, and a part at a time in memory.
uint64_t file_hash(const std::string& path);
/// 16 hexadecimal digits.
std::string hash_text(uint64_t hash);

/// The same hash of bytes that come piece by piece.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  void add(const void* data, size_t bytes);
  void add(std::string_view text) { add(text.data(), text.size()); }
  uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace jet
