// The ids of words seen before: most of a text is words seen before.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace jet {

/// Holds a bounded number of words: when full, it starts again.
class WordCache {
 public:
  /// The ids of `word`, from the cache or from `encode(word, ids)`; valid until the next call.
  template <class Encode>
  std::span<const int32_t> get(std::string_view word, Encode&& encode) {
    if (word.size() > kLongestWord) {
      scratch_.clear();
      encode(word, scratch_);
      return scratch_;
    }
    if (const auto found = words_.find(word); found != words_.end()) return ids_of(found->second);
    if (words_.size() >= kMostWords) words_.clear(), ids_.clear();
    const size_t begin = ids_.size();
    encode(word, ids_);
    const Range range{static_cast<uint32_t>(begin), static_cast<uint32_t>(ids_.size() - begin)};
    words_.emplace(std::string(word), range);
    return ids_of(range);
  }

 private:
  static constexpr size_t kLongestWord = 64, kMostWords = 100000;
  struct Range {
    uint32_t begin, count;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  std::span<const int32_t> ids_of(Range r) const { return std::span(ids_).subspan(r.begin, r.count); }

  std::unordered_map<std::string, Range, Hash, std::equal_to<>> words_;
  std::vector<int32_t> ids_, scratch_;
};

}  // namespace jet
