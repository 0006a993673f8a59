#include "jet/cli/pass_on.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "jet/base/error.h"
#include "jet/base/programs.h"
#include "jet/base/threads.h"

extern char** environ;

namespace jet {

bool is_train_command(const std::vector<std::string>& line) {
  if (line.front() == "bench") return line.size() > 1 && line[1] == "train";
  return std::any_of(std::begin(kTrainCommands), std::end(kTrainCommands),
                     [&](const TrainCommand& c) { return line.front() == c.name; });
}

std::string train_program() { return program_beside("jet-train"); }

namespace {

/// What execv takes: pointers into `path` and `line`, and a null.
std::vector<char*> arguments_of(const std::string& path, const std::vector<std::string>& line) {
  std::vector<char*> arguments = {const_cast<char*>(path.c_str())};
  for (const auto& word : line) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  return arguments;
}

/// Rounds of libgomp's waiting loop, a pause each, in about 50 us. A pause takes 2 to 50 ns, by processor.
std::string rounds_of_waiting() {
  constexpr int kRounds = 500;
  double fastest = 1e9;  // of some looks, ns a round: a thread may be put aside in between
  for (int look = 0; look < 5; ++look) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; ++i) relax();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    fastest = std::min(fastest, took.count() / kRounds);
  }
  return std::to_string(std::lround(50'000 / std::clamp(fastest, 1.0, 100.0)));
}

std::string require_train_program(const std::vector<std::string>& line) {
  // Threads of libtorch that wait for each other spin for about 50 us, then sleep. Small steps are 1.6 times as fast as
  // with sleeping at once; on a machine with other work on it, spinning on (OpenMP's default) takes twice as long.
  if (!std::getenv("GOMP_SPINCOUNT")) setenv("GOMP_SPINCOUNT", rounds_of_waiting().c_str(), /*overwrite=*/0);
  // A step's temporaries are of some hundred MB, which malloc would map anew each time and the system clear page by
  // page: a fifth of a step's time. They stay in the heap, in large pages; 1.3 to 1.4 times as fast (docs/training.md).
  setenv("GLIBC_TUNABLES",
         "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=68719476736:glibc.malloc.trim_threshold=68719476736:"
         "glibc.malloc.top_pad=268435456",
         /*overwrite=*/0);
  const std::string path = train_program();
  require(!path.empty(), "'{}' needs the program jet-train beside jet; build the project with -DJET_TORCH=ON",
          line.front());
  return path;
}

}  // namespace

void become_train_program(const std::vector<std::string>& line) {
  const std::string path = require_train_program(line);
  execv(path.c_str(), arguments_of(path, line).data());
  fail("{}: cannot be run: {}", path, std::strerror(errno));
}

int run_train_program(const std::vector<std::string>& line) {
  const std::string path = require_train_program(line);
  std::fflush(stdout);
  pid_t child = 0;
  const int error = posix_spawn(&child, path.c_str(), nullptr, nullptr, arguments_of(path, line).data(), environ);
  require(error == 0, "{}: cannot be run: {}", path, std::strerror(error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0) require(errno == EINTR, "{}: lost: {}", path, std::strerror(errno));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace jet
