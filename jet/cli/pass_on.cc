#include "jet/cli/pass_on.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "jet/base/error.h"
#include "jet/base/programs.h"

extern char** environ;

namespace jet {

bool is_train_command(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "bench") return argc > 2 && std::string(argv[2]) == "train";
  for (const auto& c : kTrainCommands) {
    if (name == c.name) return true;
  }
  return false;
}

std::string train_program() { return program_beside("jet-train"); }

namespace {

// Threads of libtorch that wait for each other spin for about 50 us, then sleep. Small steps are 1.6 times as fast as
// with sleeping at once; on a machine with other work on it, spinning on (OpenMP's default) takes twice as long.
void limit_spinning() { setenv("GOMP_SPINCOUNT", "30000", /*overwrite=*/0); }

}  // namespace

void become_train_program(char** argv) {
  limit_spinning();
  const std::string path = train_program();
  require(!path.empty(), "'{}' needs the program jet-train beside jet; build the project with -DJET_TORCH=ON", argv[1]);
  execv(path.c_str(), argv);
  fail("{}: cannot be run: {}", path, std::strerror(errno));
}

int run_train_program(const std::vector<std::string>& arguments) {
  limit_spinning();
  const std::string path = train_program();
  require(!path.empty(), "the program jet-train is not beside jet; build the project with -DJET_TORCH=ON");
  std::vector<char*> argv = {const_cast<char*>(path.c_str())};
  for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  std::fflush(stdout);
  pid_t child = 0;
  const int error = posix_spawn(&child, path.c_str(), nullptr, nullptr, argv.data(), environ);
  require(error == 0, "{}: cannot be run: {}", path, std::strerror(error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0) require(errno == EINTR, "{}: lost: {}", path, std::strerror(errno));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace jet
