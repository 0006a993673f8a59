// Which graded items share text with the training documents (their contamination), after GPT-3's rule (Brown et al.
// 2020, appendix C): an item is contaminated where a run of `ngram` words of it stands in a training document.
//
//   words     runs of letters, marks, digits and connectors in lower case; a character from U+2E80 on (CJK) is a word
//   common    a run that stands in more than `common` documents is a turn of phrase and does not count; 0: all count
//
// Documents are read back from their tokens, so a folder can be checked without its sources.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "jet/data/shards.h"

namespace jet {

struct GradedItem {
  std::string task;
  int64_t number = 0;  // within the task, from 1
  std::string text;    // prompt and answer
};
/// Of all texts in order: what a folder says of the items that it was cleared of.
std::string graded_hash(const std::vector<GradedItem>& items);

struct OverlapOptions {
  int ngram = 13, common = 10, threads = 1;
  std::function<void(int64_t done, int64_t total)> progress;  // documents
};

struct Overlap {
  struct Hit {
    size_t item = 0;       // in the list given
    int64_t shared = 0;    // of its runs, how many stand in training documents
    int64_t runs = 0;      // how many different ones it has
    int64_t document = 0;  // the first that holds `words`
    std::string words;     // the first shared run
  };
  std::vector<Hit> hits;           // contaminated items, in order
  std::vector<size_t> too_short;   // items of fewer words than a run: nothing can be said
  std::vector<int64_t> documents;  // training documents that hold a shared run, ascending
  int64_t common_runs = 0;         // runs of items that were left out as common
};

/// Marked documents count for what is common, but nothing else is asked of them.
Overlap find_overlap(const TokenStore& store, const Tokenizer& tokenizer, const std::vector<GradedItem>& items,
                     const OverlapOptions& options);

/// The text's words, in order.
std::vector<std::string> words_of(std::string_view text);

}  // namespace jet
