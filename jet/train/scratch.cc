#include "jet/train/scratch.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>

#include "jet/base/error.h"

namespace jet {

at::Tensor zeros_on_disk(const std::string& folder, at::IntArrayRef shape) {
  static std::atomic<int> count = 0;
  std::filesystem::create_directories(folder);
  const std::string path = fmt::format("{}/scratch-{}-{}", folder, getpid(), count++);
  const int64_t numbers = c10::multiply_integers(shape), bytes = std::max<int64_t>(1, numbers) * int64_t{sizeof(float)};
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  require(fd >= 0, "{}: cannot be made: {}", path, std::strerror(errno));
  const int error = posix_fallocate(fd, 0, bytes);  // zeros; a full disk shows here, not as a signal later
  close(fd);
  if (error != 0) unlink(path.c_str());
  require(error == 0, "{}: no room for {:.2f} GB: {}; choose an --out on a larger disk", path,
          static_cast<double>(bytes) * 1e-9, std::strerror(error));
  at::Tensor t = at::from_file(path, /*shared=*/true, numbers, at::kFloat).view(shape);
  unlink(path.c_str());
  return t;
}

}  // namespace jet
