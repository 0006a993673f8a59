#include "jet/eval/run_code.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <random>

#include "jet/base/error.h"
#include "jet/base/hash.h"

namespace jet {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = 0;  // no call passes: nothing is run
#endif

constexpr int kNobody = 65534, kCannot = 125;  // a status of ours
constexpr unsigned kNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

bool write_small(const char* path, const char* text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const auto size = static_cast<ssize_t>(std::strlen(text));
  const bool written = ::write(fd, text, size) == size;
  ::close(fd);
  return written;
}

/// The system's highest user starts as nobody: limits on processes do not hold for it.
bool leave_for_namespaces() {
  if (::geteuid() == 0 &&
      (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0))
    return false;
  ::prctl(PR_SET_DUMPABLE, 1);
  const auto uid = static_cast<unsigned>(::getuid()), gid = static_cast<unsigned>(::getgid());
  if (::unshare(static_cast<int>(kNamespaces)) != 0) return false;
  char line[64];
  std::snprintf(line, sizeof line, "%u %u 1", uid, uid);
  if (!write_small("/proc/self/uid_map", line) || !write_small("/proc/self/setgroups", "deny")) return false;
  std::snprintf(line, sizeof line, "%u %u 1", gid, gid);
  return write_small("/proc/self/gid_map", line);
}

/// What is mounted can be read only, but for a folder in memory; what others listen on is out of sight.
bool shut_files() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes) != 0) return false;
  for (const char* hidden : {"/proc", "/run"})
    if (::mount("none", hidden, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k") != 0) return false;
  if (::mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,nr_inodes=4k") != 0) return false;
  return ::chdir("/tmp") == 0;
}

bool shut_calls() {
  const auto at = [](size_t offset) { return static_cast<uint32_t>(offset); };
  std::array<sock_filter, 9> rules = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at(offsetof(seccomp_data, arch))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at(offsetof(seccomp_data, nr))),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000U, 3, 0),  // calls of another kind of x86-64
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  }};
  const sock_fprog filter{static_cast<unsigned short>(rules.size()), rules.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool set_limit(int what, int64_t value) {
  const rlimit r{static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  return ::setrlimit(static_cast<__rlimit_resource_t>(what), &r) == 0;
}

bool set_limits(const CodeLimits& l) {
  return set_limit(RLIMIT_CORE, 0) && set_limit(RLIMIT_CPU, l.seconds + 1) && set_limit(RLIMIT_AS, l.memory) &&
         set_limit(RLIMIT_FSIZE, l.file) && set_limit(RLIMIT_NOFILE, 64) && set_limit(RLIMIT_NPROC, l.processes);
}

[[noreturn]] void end_with(int status) {
  while (true) ::syscall(SYS_exit_group, status);
}

/// The first process of its namespace.
[[noreturn]] void play_program(const CodeLimits& limits) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* argv[] = {"python3", "-I", "-", nullptr};
  const char* path = ::getenv("PATH");
  char search[4096];
  std::snprintf(search, sizeof search, "PATH=%s", path ? path : "/usr/local/bin:/usr/bin:/bin");
  const char* environment[] = {search, "HOME=/tmp", "LANG=C.UTF-8", "OMP_NUM_THREADS=1", nullptr};
  if (shut_files() && set_limits(limits) && shut_calls())
    ::execvpe(argv[0], const_cast<char* const*>(argv), const_cast<char* const*>(environment));
  end_with(kCannot);
}

/// The child: nothing of the parent's is open but the program and where to write.
[[noreturn]] void play_keeper(int program, int out, const CodeLimits& limits) {
  ::setsid();
  const int null = ::open("/dev/null", O_WRONLY);
  if (::dup2(program, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(null, 2) < 0) end_with(kCannot);
  ::syscall(SYS_close_range, 3U, ~0U, 0U);
  for (const int s : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD}) ::signal(s, SIG_DFL);
  if (!leave_for_namespaces()) end_with(kCannot);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const pid_t first = ::fork();
  if (first == 0) play_program(limits);
  ::close(1);  // what remains of it is the program's
  int status = 0;
  while (first > 0 && ::waitpid(first, &status, 0) < 0 && errno == EINTR) continue;
  end_with(first > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : first > 0 ? 1 : kCannot);
}

/// The last bytes of what comes until the end, or until time is up.
std::string last_words(int in, int seconds, size_t most) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::string said;
  char part[65536];
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd p{in, POLLIN, 0};
    const int ready = left.count() > 0 ? ::poll(&p, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return "";
    const auto n = ::read(in, part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return said;
    said.append(part, static_cast<size_t>(n));
    if (said.size() > most) said.erase(0, said.size() - most);
  }
}

/// A word that the program cannot know: who ends early does not say it.
std::string secret() {
  std::random_device device;
  return hash_text(uint64_t{device()} << 32 | device()) + hash_text(uint64_t{device()} << 32 | device());
}

struct Played {
  bool well = false;
  int status = 0;  // of the child
};

Played play(const std::string& program, const CodeLimits& limits) {
  const std::string word = secret();
  const std::string text = program + "\n\nimport os as _os\n_os.write(1, b'" + word + "')\n_os._exit(0)\n";
  const int file = ::memfd_create("program", MFD_CLOEXEC);
  int ends[2];
  require(file >= 0 && ::pipe2(ends, O_CLOEXEC) == 0, "no pipe to a child process could be opened");
  for (size_t at = 0; at < text.size();) {
    const auto n = ::write(file, text.data() + at, text.size() - at);
    require(n > 0, "a program of {} bytes could not be handed to a child process", text.size());
    at += static_cast<size_t>(n);
  }
  ::lseek(file, 0, SEEK_SET);
  const pid_t child = ::fork();
  if (child == 0) play_keeper(file, ends[1], limits);
  ::close(file), ::close(ends[1]);
  const bool well = child > 0 && last_words(ends[0], limits.seconds, word.size()) == word;
  ::close(ends[0]);
  require(child > 0, "no child process could be started");
  int status = 0;
  pid_t over = 0;
  for (int i = 0; i < 100 && (over = ::waitpid(child, &status, WNOHANG)) == 0; ++i) ::usleep(well ? 1000 : 100);
  if (over == 0) {
    ::kill(child, SIGKILL);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  }
  return {well, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

}  // namespace

std::string cannot_run_code() {
  static const std::string kWhy = [] {
    const Played p = play("pass", {.seconds = 20});
    if (p.well) return std::string();
    return std::string(p.status == kCannot
                           ? "this system lets no child process be shut off (user namespaces are off, or there is no "
                             "python3); allow them (sysctl kernel.unprivileged_userns_clone=1), or run in a container "
                             "that may"
                           : "python3 does not run here under the limits for programs");
  }();
  return kWhy;
}

bool run_python(const std::string& program, const CodeLimits& limits) {
  const std::string why = cannot_run_code();
  require(why.empty(), "programs cannot be run: {}", why);
  return play(program, limits).well;
}

}  // namespace jet
