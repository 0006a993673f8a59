// The keys of a GGUF file under its architecture's name ("llama.block_count"), read with their ranges: what is missing
// or makes no sense is an Error that names file and key.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jet/storage/gguf.h"

namespace jet {

class GgufKeys {
 public:
  /// Throws where general.architecture is missing.
  explicit GgufKeys(const Gguf& file);

  const Gguf& file() const { return file_; }
  const std::string& path() const { return file_.path(); }
  const std::string& architecture() const { return architecture_; }
  /// "llama.block_count"
  std::string full(const std::string& key) const { return architecture_ + "." + key; }

  /// 1 to 2^20, as the sizes of config.json are.
  int size(const std::string& key) const;
  std::optional<int> optional_size(const std::string& key, int64_t least = 1) const;
  /// As size(); or a list with the same number for each layer. Lists of different numbers are an error.
  int size_of_layers(const std::string& key, int layers) const;
  std::optional<int> optional_size_of_layers(const std::string& key, int layers) const;
  /// A list with one number for each layer, or one number for all.
  std::vector<int> sizes_of_layers(const std::string& key, int layers) const;
  /// Positive.
  double positive(const std::string& key) const;
  std::optional<double> optional_positive(const std::string& key) const;
  std::optional<std::string> text(const std::string& key) const { return file_.text(full(key)); }
  /// Throws unless the key is missing or has this value: what the architecture cannot have otherwise here.
  void require_number(const std::string& key, double value, const char* what) const;

 private:
  int in_range(const std::string& key, int64_t value, int64_t least = 1) const;
  [[noreturn]] void missing(const std::string& key) const;
  const Gguf& file_;
  std::string architecture_;
};

}  // namespace jet
