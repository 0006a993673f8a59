// Text files into a folder of tokens (jet/data/shards.h), in parallel and resumable.
//
//   reader thread | pieces of about 8 MB --> all threads: parse, tokenise --> one writer, in the order of the inputs
//
// A shard ends with the document that brings it to `shard_tokens`, so the folder is a function of inputs, tokenizer and
// settings: neither threads nor kills show in it. After each shard the journal says what has been done:
//
//   journal.json  {"manifest": as far as it goes, "input": which input comes next, "pieces": how many of it are done}
//
// A killed build starts again with the same command and goes on after the last shard that the journal names: it reads
// past the pieces that are done, which costs little beside tokenising. Marks and manifest.json come last; the journal
// goes when they are there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "jet/data/overlap.h"
#include "jet/data/shards.h"

namespace jet {

struct BuildOptions {
  std::vector<std::string> inputs;  // files; documents are numbered in this order
  std::string tokenizer, out;       // folders
  std::string field = "text";       // key of the text in JSONL, column in Parquet
  int64_t shard_tokens = int64_t{1} << 26, held_out_tokens = 0;
  std::vector<GradedItem> graded;  // documents that share text with these are dropped
  int ngram = 13, common = 10;     // jet/data/overlap.h
  int threads = 1;
  /// Called from the calling thread; units are bytes of the inputs, or documents.
  std::function<void(const std::string& stage, const char* unit, int64_t done, int64_t total)> progress;
};

/// Returns the manifest; that of the folder, where it was built before from the same inputs with the same settings.
Manifest build_tokens(const BuildOptions& options);

}  // namespace jet
