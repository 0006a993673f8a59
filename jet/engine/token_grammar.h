// What a text may be, as sampling sees it: a grammar tells after each token which may be next.
//
//   TokenGrammar --start()--> TokenMatcher: made so far --> | ids that may be next |, or whole: nothing may follow
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace jet {

/// A set of ids, a bit each: id i is bit i % 32 of word i / 32.
class TokenSet {
 public:
  explicit TokenSet(int64_t vocab) : words_((vocab + 31) / 32) {}
  void add(int32_t id) { words_[id / 32] |= uint32_t{1} << id % 32; }
  void remove(int32_t id) { words_[id / 32] &= ~(uint32_t{1} << id % 32); }
  bool has(int32_t id) const { return words_[id / 32] >> id % 32 & 1; }
  std::span<uint32_t> words() { return words_; }
  std::span<const uint32_t> words() const { return words_; }

 private:
  std::vector<uint32_t> words_;
};

/// Follows one text.
class TokenMatcher {
 public:
  virtual ~TokenMatcher() = default;
  /// The ids that may come after `made`, all of the text so far. Where the text may end, so may the ids that end it.
  /// Good until the next call. Throws Error on a text that the grammar does not have.
  virtual const TokenSet& allowed(std::span<const int32_t> made) = 0;
  /// Whether the text is whole and nothing but an end may follow.
  virtual bool is_whole(std::span<const int32_t> made) = 0;
};

/// Its const members may be called from several threads at once.
class TokenGrammar {
 public:
  virtual ~TokenGrammar() = default;
  virtual std::unique_ptr<TokenMatcher> start() const = 0;
  /// Whether it says where a text may end, so that the model's ends count even where they are ignored otherwise.
  virtual bool rules_ends() const { return true; }
};

}  // namespace jet
