// What the fuzz targets share. A reader may throw jet::Error and nothing else: whatever leaves a target is a fault.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "jet/base/error.h"

namespace jet::fuzz {

/// A folder for the files that readers want to open, in memory where the system has /dev/shm; gone with the process.
class Folder {
 public:
  Folder() {
    namespace fs = std::filesystem;
    std::string name =
        (fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) / "fuzz-XXXXXX";
    require(::mkdtemp(name.data()) != nullptr, "{}: cannot make the folder", name);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  std::string write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ + "/" + name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

inline void check(bool ok, const char* what) {
  if (!ok) throw std::logic_error(what);
}

/// Runs `read`, which may fail with an Error of one line.
template <class Read>
void expect_only_errors(Read&& read) {
  try {
    read();
  } catch (const Error& e) {
    const std::string_view text = e.what();
    const bool plain = std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 32 || c == 127; });
    check(!text.empty() && plain, "an error's text is not one line");
  }
}

}  // namespace jet::fuzz
