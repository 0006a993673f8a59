// Documents of a benchmark's files: .jsonl, .json, .csv, .tsv and .txt, each also as .gz or .zst.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "jet/eval/suite.h"

namespace jet {

/// The files of a folder that a path stands for, by what stands in the place of its *; "" where there is none.
std::map<std::string, std::string> matching_files(const std::string& folder, const std::string& path);

/// All documents of a file, with the fields that the definition adds; `part` is one of them.
std::vector<Json> read_rows(const std::string& path, const SuiteFile& file, const std::string& part);

}  // namespace jet
