#include "jet/model/gguf_keys.h"

#include <algorithm>
#include <cmath>

#include "jet/base/error.h"

namespace jet {
namespace {

constexpr int64_t kMostKeySize = 1 << 20, kMostKeyContext = INT32_MAX;

}  // namespace

GgufKeys::GgufKeys(const Gguf& file) : file_(file) {
  const auto name = file.text("general.architecture");
  require(name.has_value(), "{}: key 'general.architecture' is missing; take a GGUF file of a language model", path());
  architecture_ = *name;
}

void GgufKeys::missing(const std::string& key) const {
  fail("{}: key '{}' is missing; convert the model again", path(), full(key));
}

int GgufKeys::in_range(const std::string& key, int64_t value, int64_t least) const {
  const int64_t most = key == "context_length" ? kMostKeyContext : kMostKeySize;
  require(value >= least && value <= most, "{}: key '{}' is {}, where {} to {} are allowed; convert the model again",
          path(), full(key), value, least, most);
  return static_cast<int>(value);
}

std::optional<int> GgufKeys::optional_size(const std::string& key, int64_t least) const {
  const auto value = file_.whole(full(key));
  if (!value) return {};
  return in_range(key, *value, least);
}

int GgufKeys::size(const std::string& key) const {
  const auto value = optional_size(key);
  if (!value) missing(key);
  return *value;
}

std::vector<int> GgufKeys::sizes_of_layers(const std::string& key, int layers) const {
  if (!file_.is_array(full(key))) return std::vector<int>(layers, size(key));
  const auto list = *file_.numbers(full(key));
  require(static_cast<int>(list.size()) >= layers, "{}: key '{}' has {} numbers for {} layers; convert the model again",
          path(), full(key), list.size(), layers);
  std::vector<int> sizes;
  for (int i = 0; i < layers; ++i) {
    require(std::abs(list[i]) < 1e15 && list[i] == std::floor(list[i]),
            "{}: key '{}' holds {}; convert the model again", path(), full(key), list[i]);
    sizes.push_back(in_range(key, static_cast<int64_t>(list[i]), 0));
  }
  return sizes;
}

int GgufKeys::size_of_layers(const std::string& key, int layers) const {
  const auto sizes = sizes_of_layers(key, layers);
  for (const int n : sizes) {
    require(n == sizes[0], "{}: key '{}' differs from layer to layer ({} and {}), which cannot be run", path(),
            full(key), sizes[0], n);
  }
  return in_range(key, sizes[0]);
}

std::optional<int> GgufKeys::optional_size_of_layers(const std::string& key, int layers) const {
  if (!file_.contains(full(key))) return {};
  return size_of_layers(key, layers);
}

std::optional<double> GgufKeys::optional_positive(const std::string& key) const {
  const auto value = file_.number(full(key));
  require(!value || *value > 0, "{}: key '{}' is {}, where it must be positive; convert the model again", path(),
          full(key), value.value_or(0));
  if (!value || static_cast<double>(static_cast<float>(*value)) != *value) return value;
  return std::stod(fmt::format("{}", static_cast<float>(*value)));  // 1e-05, where fp32 has 9.999999747378752e-06
}

double GgufKeys::positive(const std::string& key) const {
  const auto value = optional_positive(key);
  if (!value) missing(key);
  return *value;
}

void GgufKeys::require_number(const std::string& key, double value, const char* what) const {
  const auto found = file_.number(full(key));
  require(!found || *found == value, "{}: key '{}' is {}: {} cannot be run", path(), full(key), found.value_or(0),
          what);
}

}  // namespace jet
