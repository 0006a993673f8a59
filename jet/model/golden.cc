#include "jet/model/golden.h"

#include <algorithm>
#include <filesystem>

#include "jet/base/file.h"
#include "jet/base/json.h"
#include "jet/storage/safetensors.h"

namespace jet {

namespace {

bool is_op(const std::string& path) {
  return path.ends_with(".safetensors") && SafeTensors::open(path).metadata().count("rule") > 0;
}

bool is_golden(const std::string& folder) { return file_exists(folder + "/golden.safetensors"); }

GoldenFolder describe(const std::string& folder) {
  const bool block = read_json(folder + "/config.json").contains("source_class");
  return {folder, block ? GoldenKind::block : GoldenKind::model};
}

}  // namespace

std::vector<GoldenFolder> golden_folders(const std::string& root) {
  namespace fs = std::filesystem;
  require(fs::is_directory(root), "{}: no such folder", root);
  const std::string clean = fs::path(root + "/.").lexically_normal().parent_path().string();
  if (is_golden(clean)) return {describe(clean)};
  std::vector<GoldenFolder> found;
  for (const auto& entry : fs::recursive_directory_iterator(clean)) {
    const std::string path = entry.path().string();
    if (entry.is_directory() && is_golden(path)) found.push_back(describe(path));
    if (entry.is_regular_file() && is_op(path)) found.push_back({path, GoldenKind::op});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  require(!found.empty(), "{}: holds no golden data: expected folders with golden.safetensors", root);
  return found;
}

}  // namespace jet
