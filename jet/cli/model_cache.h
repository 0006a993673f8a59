// GGUF files where a command wants a model folder: each is imported once, into a cache, and found there by its content.
//
//   $XDG_CACHE_HOME/jet/gguf, or ~/.cache/jet/gguf
//     <hash>-<type>-<version>/            a model folder; in it import.json: {"file"}
//     <hash>-<type>-<version>.tmp-<pid>/  one that is being made, or whose maker was killed
//     seen-<hash>                         of path, size and time of a file: the hash of its content
//     lock                                a byte for each model, held by who makes it
//
// The version is of the importer: what an older one made is not used.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jet/model/gguf_import.h"

namespace CLI {
class App;
}

namespace jet {

/// Imports a file, shows its progress and checks the tokenizer too.
GgufImportReport import_model(const std::string& source, const std::string& target, std::optional<DType> type,
                              int threads = 0);

/// `path`, or of a GGUF file the folder of its import; the first import is told on stderr. `type` as in
/// GgufImportOptions. Any number of processes may ask at once, and be killed.
std::string model_folder_of(const std::string& path, std::optional<DType> type);

/// Gives the options of `command` that name model folders that reading of GGUF files. By their names: all commands use
/// the same ones.
void take_gguf_files(CLI::App& command);

struct CachedModel {
  std::string name, file;  // file: where it was when it was imported; empty of what a killed import left
  int64_t bytes = 0;
};
std::string model_cache_folder();
std::vector<CachedModel> cached_models();
/// Removes those of these names, or all where there are none; not what another process is making. Returns what was
/// removed. Throws where a name is not there.
std::vector<CachedModel> clear_model_cache(const std::vector<std::string>& names);

}  // namespace jet
