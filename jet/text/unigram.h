// Unigram: of all ways to write a word in tokens, the one whose scores have the greatest sum, found from left to right.
//
//   best[end] = max over tokens t that end there of best[end - size(t)] + score(t);  an equal sum later changes nothing
//
// A character that is no token of its own may be the unknown one, at the lowest score less 10.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "jet/text/token_map.h"
#include "jet/text/word_model.h"

namespace jet {

class Unigram : public WordModel {
 public:
  struct Pieces {
    std::vector<std::string> texts;  // [ids]
    std::vector<double> scores;      // [ids]
    std::vector<bool> usable;        // [ids] stands for its text; the others are only named (control, bytes)
    double lowest_score = 0;
    int32_t unknown = -1;
    std::vector<int32_t> byte_tokens;  // 256 ids of <0x00> to <0xFF>, -1 where one is missing; empty: not used
    bool float_sums = false;           // what is kept of sums is rounded to 32 bits, as in SentencePiece
    std::string where;
  };
  explicit Unigram(Pieces pieces);
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;

 private:
  struct Node {
    double sum = 0;
    int64_t begin = -1;
    int32_t id = -1;
  };
  std::vector<Node> best_path(std::string_view word) const;
  template <class Use>
  void for_each_prefix(std::string_view text, Use&& use) const;
  void append_ids(std::string_view part, std::vector<int32_t>& ids) const;

  Pieces p_;
  std::vector<int32_t> sorted_;        // ids by text
  std::vector<uint32_t> starts_;       // [first two bytes + 1] in sorted_, for texts of two bytes and more
  std::array<int32_t, 256> single_{};  // ids of texts of one byte
  TokenMap ids_;
};

}  // namespace jet
