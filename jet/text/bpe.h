// Byte-pair encoding of one word: its bytes are symbols; of all neighbours the pair of lowest rank (leftmost among
// equals) is merged into one symbol, until no pair has a rank.
//
//   merges  0: l o   1: lo w   2: e r          l o w e r  ->  lo w e r  ->  low e r  ->  low er
//
// The symbols of a word are a linked list and its pairs a heap by (rank, place); a pair that a merge beside it undid is
// dropped when it comes up.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace jet {

/// A merge's rank is its place in the list.
struct Merge {
  int32_t left = 0, right = 0, merged = 0;
};

class Bpe {
 public:
  Bpe() = default;
  /// `byte_ids`: the id of each single byte; -1 where the vocabulary lacks it, which drops the byte.
  Bpe(const std::array<int32_t, 256>& byte_ids, const std::vector<Merge>& merges);
  /// Appends the ids of `word`; n bytes take O(n log n).
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  struct Slot {
    uint64_t pair = ~uint64_t{0};
    int32_t rank = 0, merged = 0;
  };
  const Slot* find(int32_t left, int32_t right) const;

  std::array<int32_t, 256> byte_ids_{};
  std::vector<Slot> slots_;  // open addressing; the size is a power of two
};

/// The ids of words seen before. Holds a bounded number of words: when full, it starts again.
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
