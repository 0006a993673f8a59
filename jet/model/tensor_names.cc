#include "jet/model/tensor_names.h"

#include <sstream>

namespace jet {

void TensorNames::rename_all(const std::string& from, const std::string& to) {
  const std::string start = before_ + from;
  std::vector<std::string> names;
  for (const auto& [name, t] : tensors_.all())
    if (name.starts_with(start)) names.push_back(name);
  for (const auto& [name, why] : tensors_.unread())
    if (name.starts_with(start)) names.push_back(name);
  for (const auto& name : names) tensors_.rename(name, before_ + to + name.substr(start.size()));
}

void TensorNames::split(const std::string& from, std::vector<std::pair<std::string, int64_t>> parts) {
  for (auto& [name, rows] : parts) name = before_ + name;
  tensors_.split(before_ + from, parts);
}

}  // namespace jet
