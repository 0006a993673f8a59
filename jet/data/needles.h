// Needles in a haystack, RULER's (Hsieh et al. 2024, arXiv 2404.06654; lm-evaluation-harness 0.4.13, tasks/ruler):
// facts that stand somewhere in a text of a wanted length, and a question for one or some of them.
//
//   kind         haystack   facts       asked           A fact, a sentence of its own:
//   single_1     repeat     1 number    it                One of the special magic numbers for KEY is: VALUE.
//   single_2     text       1 number    it
//   single_3     text       1 uuid      it              repeat  "The grass is green. The sky is blue. ...", again and
//   multikey_1   text       4 numbers   one of them             again
//   multikey_2   facts      1 number    it              text    sentences of a text that the user gives, from its
//   multikey_3   facts      1 uuid      it, by a uuid           beginning (RULER: Paul Graham's essays)
//   multivalue   text       4 of a key  all             facts   others of the same form
//   multiquery   text       4 numbers   all
//
// Questions, answers and lengths are as there; keys come from fewer words and draws from our own generator, so that
// the items are others. They are written as the harness has them:
//
//   {"index", "input", "outputs": [...], "length", "max_length", "gen_prefix"}
#pragma once

#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/text/tokenizer.h"

namespace jet {

struct NeedleOptions {
  std::string kind;
  std::string text;           // where the kind wants one
  int64_t max_length = 4096;  // tokens of input and answer
  int items = 100;
  uint64_t seed = 42;
};

/// All, or those that need no text.
std::vector<std::string> needle_kinds(bool with_text);
/// Throws Error on a kind that is unknown, a text that is wanted, or a length that not even the facts fit in.
std::vector<Json> needles(const NeedleOptions& o, const Tokenizer& tokenizer);

}  // namespace jet
