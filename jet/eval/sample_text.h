// Training text from a model itself: documents that it draws, as a folder of tokens (jet/data/shards.h), the very ids
// that it drew. Who has a checkpoint and no data can distil it on these: the base's own text carries what it knows
// (LLM-QAT, arXiv 2305.17888; Magpie, arXiv 2406.08464).
//
//   start   | separator, text ... |                                     from the token that begins a document
//   chat    | separator, user's turn ..., its end, reply ... |          the chat template's words, the rest drawn
//   text    | separator, 8 to 64 tokens of the given text, text ... |   continued
//
// Document i is drawn by seed and i, but for what batches round. Killed, it goes on after the last whole shard, which
// journal.json names while the folder is being made.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "jet/data/shards.h"

namespace jet {

struct SampleOptions {
  std::string model{}, out{};       // folders
  int64_t tokens = 0;               // that it ends at, or a document later
  std::vector<std::string> from{};  // start, chat, text, in turn; none: start, and chat where there is a template
  std::string text{};               // file, for `text`
  int length = 512;                 // most tokens of a document
  float temperature = 1, top_p = 1;
  int at_once = 32;  // documents
  uint64_t seed = 1;
  int64_t shard_tokens = int64_t{1} << 16, held_out_tokens = 8192;
  int threads = 0;
  std::function<void(int64_t done, int64_t total)> progress{};  // tokens
};

/// Returns the folder's manifest. Throws Error on options that do not go with the model or with what the folder holds.
Manifest sample_text(const SampleOptions& options);

}  // namespace jet
