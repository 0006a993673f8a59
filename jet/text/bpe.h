// Byte-pair encoding of one word: its characters (or bytes) are symbols; of all neighbours the pair of lowest rank
// (leftmost among equals) is merged into one symbol, until no pair has a rank.
//
//   merges  0: l o   1: lo w   2: e r          l o w e r  ->  lo w e r  ->  low e r  ->  low er
//
// A short word is searched for its lowest pair again and again. The symbols of a long one are a linked list and its
// pairs a heap by (rank, place); a pair that a merge beside it undid is dropped when it comes up.
//
// A token may be on the way only (SentencePiece's type "unused"): it takes part in merges, and where one is left at the
// end it falls into the two symbols whose merge to it was the last that came into question, and so on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "jet/text/word_model.h"

namespace jet {

/// Several merges may have one rank: of SentencePiece's pieces all ways to make one.
struct Merge {
  int32_t left = 0, right = 0, merged = 0, rank = 0;
};

class BpeMerges {
 public:
  BpeMerges() : BpeMerges(std::vector<Merge>()) {}
  /// Of a pair listed twice the last counts. `unused` [ids]: tokens on the way only; empty: none.
  explicit BpeMerges(const std::vector<Merge>& merges, std::vector<bool> unused = {});
  /// Merges `symbols` in place; n of them take O(n log n).
  void apply(std::vector<int32_t>& symbols) const;

 private:
  struct Slot {
    uint64_t pair = ~uint64_t{0};
    int32_t rank = 0, merged = 0;
  };
  using Splits = std::unordered_map<int32_t, std::pair<int32_t, int32_t>>;  // unused token: what last would make it
  const Slot* find(int32_t left, int32_t right) const;
  const Slot* offer(int32_t left, int32_t right, Splits& splits) const;
  void apply_short(std::vector<int32_t>& symbols, Splits& splits) const;
  void apply_long(std::vector<int32_t>& symbols, Splits& splits) const;

  std::vector<bool> unused_;
  std::vector<Slot> slots_;  // open addressing; the size is a power of two
};

class Bpe : public WordModel {
 public:
  /// What the symbols of a word are. A character without a token of its own is `byte_tokens` of its bytes (where all
  /// are there), else `unknown`, else nothing.
  struct Symbols {
    bool byte_level = false;              // words are bytes, tokens in the byte alphabet
    std::vector<std::string_view> texts;  // [ids] of the tokens of the model; empty: none. Not kept
    std::vector<bool> unused;             // [ids] of tokens on the way only; empty: none
    std::vector<int32_t> byte_tokens;     // 256 ids of <0x00> to <0xFF>, -1 where one is missing; empty: not used
    int32_t unknown = -1;
    bool unknown_missing = false;  // there is an unknown token's name, but no such token: an error when it is needed
    bool fuse_unknown = false;     // a run of unknown characters is one token
    bool whole_words = false;      // a word that is a token is that token, whatever the merges
    std::string where;
  };
  Bpe(Symbols symbols, const std::vector<Merge>& merges);
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;
  /// Between two characters that no merge joins, words are cut: what follows is found in the cache.
  void cut(std::string_view word, FunctionRef<void(std::string_view)> part) const override;

 private:
  struct Unknowns;
  void read_symbols();
  void read_joins(const std::vector<Merge>& merges);
  int32_t symbol_of(char32_t c) const { return c < symbol_of_.size() ? symbol_of_[c] : -1; }
  static size_t join_of(int32_t left, int32_t right);
  void add_symbol(std::string_view character, int32_t token, Unknowns& unknowns, std::vector<int32_t>& symbols) const;

  Symbols s_;
  BpeMerges merges_;
  std::vector<int32_t> symbol_of_;  // [code points], of bytes the code points of the byte alphabet
  std::vector<bool> joins_;         // hashes of the pairs of characters that some merge joins; empty: any may be
  std::unordered_map<std::string, int32_t> words_;
};

}  // namespace jet
