// The ids of long texts seen before: a conversation comes back whole with every turn, and only its last message is new.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace jet {

/// The texts used last, up to a number of bytes. For several threads.
class TextCache {
 public:
  explicit TextCache(size_t most_bytes = size_t{16} << 20) : most_bytes_(most_bytes) {}

  /// Whether the text is known; then its ids are put behind `ids`. `first`: it begins a whole text, which may change
  /// its ids.
  bool find(std::string_view text, bool first, std::vector<int32_t>& ids) {
    if (text.size() < kShortest) return false;
    const std::lock_guard lock(mutex_);
    const auto found = by_text_.find({text, first});
    if (found == by_text_.end()) return false;
    used_.splice(used_.begin(), used_, found->second);
    ids.insert(ids.end(), found->second->ids.begin(), found->second->ids.end());
    return true;
  }

  void keep(std::string_view text, bool first, std::span<const int32_t> ids) {
    if (text.size() < kShortest) return;
    Entry entry{std::string(text), {ids.begin(), ids.end()}, first};
    if (entry.bytes() > most_bytes_) return;
    const std::lock_guard lock(mutex_);
    if (by_text_.contains(entry.key())) return;  // another thread was here
    bytes_ += entry.bytes();
    used_.push_front(std::move(entry));
    by_text_.emplace(used_.front().key(), used_.begin());
    for (; bytes_ > most_bytes_; used_.pop_back()) {
      by_text_.erase(used_.back().key());
      bytes_ -= used_.back().bytes();
    }
  }

 private:
  static constexpr size_t kShortest = 64;  // bytes; shorter ones are encoded as fast as they are found
  struct Key {
    std::string_view text;
    bool first;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& k) const { return std::hash<std::string_view>{}(k.text) + (k.first ? 1 : 0); }
  };
  struct Entry {
    std::string text;
    std::vector<int32_t> ids;
    bool first;
    Key key() const { return {text, first}; }
    size_t bytes() const { return sizeof(Entry) + text.size() + ids.size() * sizeof(int32_t); }
  };

  std::mutex mutex_;
  size_t most_bytes_, bytes_ = 0;
  std::list<Entry> used_;  // the last one used in front
  std::unordered_map<Key, std::list<Entry>::iterator, Hash> by_text_;
};

}  // namespace jet
