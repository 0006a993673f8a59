// The merges of a vocabulary that has scores in place of merges, as SentencePiece's BPE does: of all neighbours that
// make a piece those with the highest score merge first, the leftmost among equals.
//
//   piece "aba", score -3   ->   merges a + ba and ab + a (where the parts are pieces or characters), of one rank
//
// A list of merges in tokenizer.json has no two of one rank, so it is not quite the same: two ways to make one piece,
// overlapping ("ababa" from ab a ba), are then taken by the list's order and not from the left.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jet/text/bpe.h"

namespace jet {

/// `texts`: by id, empty where an id is no piece. Throws, naming `where`, on a piece with a character that is no piece.
std::vector<Merge> merges_by_score(const std::vector<std::string_view>& texts, const std::vector<double>& scores,
                                   const std::string& where);

}  // namespace jet
