#include "jet/base/programs.h"

#include <unistd.h>

#include <filesystem>

namespace jet {

std::string program_beside(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string path = (self.parent_path() / name).string();
  return !error && access(path.c_str(), X_OK) == 0 ? path : "";
}

}  // namespace jet
