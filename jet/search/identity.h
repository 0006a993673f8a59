// What a run's numbers depend on: the recipe and the contents of everything that it names. It stands in the ledger,
// which refuses to go on with anything else.
//
//   {"recipe": {...}, "format of results": 3, "base": HASH, "student": HASH, "tokenizer": HASH,
//    "text data/train/novels.txt": HASH, "tokens data/web": HASH, "tasks data/eval/NAME.jsonl": HASH, ...}
#pragma once

#include <map>
#include <string>

#include "jet/search/recipe.h"

namespace jet {

/// `models`: folders by the part that they play; those without a folder are left out. Reads every file once, at the
/// speed of memory or of the disk.
Json run_identity(const Recipe& recipe, const std::string& tokenizer_folder,
                  const std::map<std::string, std::string>& models);

}  // namespace jet
