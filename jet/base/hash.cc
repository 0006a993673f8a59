#include "jet/base/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <new>

#include "jet/base/file.h"

namespace jet {

struct Hasher::State {
  State() : xxh(XXH3_createState()) {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  XXH3_state_t* xxh;
};

uint64_t content_hash(const void* data, size_t bytes) { return XXH3_64bits(data, bytes); }

uint64_t file_hash(const std::string& path) {
  constexpr size_t kPart = size_t{64} << 20;
  const MappedFile file(path);
  Hasher hasher;
  for (auto left = file.bytes(); !left.empty();) {
    const auto part = left.first(std::min(left.size(), kPart));
    hasher.add(part.data(), part.size());
    release_pages(part);
    left = left.subspan(part.size());
  }
  return hasher.value();
}

std::string hash_text(uint64_t hash) { return fmt::format("{:016x}", hash); }

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
void Hasher::add(const void* data, size_t bytes) { XXH3_64bits_update(state_->xxh, data, bytes); }
uint64_t Hasher::value() const { return XXH3_64bits_digest(state_->xxh); }

}  // namespace jet
