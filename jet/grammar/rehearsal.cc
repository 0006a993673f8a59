#include "jet/grammar/rehearsal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include <fmt/core.h>

namespace jet {
namespace {

constexpr const char* kWell = "+";
constexpr size_t kMostMessage = 4096;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // which map far more than they use
#else
constexpr bool kSanitized = false;
#endif

/// Of address space, as RLIMIT_AS counts it.
int64_t mapped_bytes() {
  long long pages = 0;
  FILE* f = std::fopen("/proc/self/statm", "r");
  if (!f) return -1;
  if (std::fscanf(f, "%lld", &pages) != 1) pages = -1;
  std::fclose(f);
  return pages < 0 ? -1 : pages * ::sysconf(_SC_PAGESIZE);
}

void limit(int what, int64_t value) {
  const rlimit r{static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  ::setrlimit(static_cast<__rlimit_resource_t>(what), &r);
}

/// The child. Sockets are closed, so that none stays open for what is rehearsed; nothing of the parent is undone.
[[noreturn]] void play(const std::function<void()>& work, const RehearsalLimits& limits, int64_t mapped, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int signal : {SIGINT, SIGTERM, SIGSEGV, SIGABRT, SIGBUS}) ::signal(signal, SIG_DFL);
  ::syscall(SYS_close_range, 3U, static_cast<unsigned>(out) - 1, 0U);
  ::syscall(SYS_close_range, static_cast<unsigned>(out) + 1, ~0U, 0U);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, limits.seconds);
  if (!kSanitized && mapped >= 0) limit(RLIMIT_AS, mapped + limits.bytes);
  char said[kMostMessage] = "+";
  try {
    work();
  } catch (const std::bad_alloc&) { std::strcpy(said, "it takes too much memory"); } catch (const std::exception& e) {
    std::strncpy(said, e.what(), sizeof said - 1);
  } catch (...) { std::strcpy(said, "it failed"); }
  if (::write(out, said, std::strlen(said)) < 0) {}  // nobody listens
  while (true) ::raise(SIGKILL);                     // nothing of what it shares with the parent is to be undone
}

/// What the child says until it ends, or nothing where that takes longer than `seconds`.
std::string heard(int in, int seconds) {
  std::string said;
  char part[kMostMessage];
  while (said.size() < kMostMessage) {
    pollfd p{in, POLLIN, 0};
    const int ready = ::poll(&p, 1, seconds * 1000);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return "";
    const auto n = ::read(in, part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    said.append(part, static_cast<size_t>(n));
  }
  return said;
}

}  // namespace

std::string rehearse(const std::function<void()>& work, const RehearsalLimits& limits) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe to a child process could be opened";
  const int64_t mapped = mapped_bytes();
  const pid_t child = ::fork();
  if (child == 0) play(work, limits, mapped, ends[1]);
  ::close(ends[1]);
  const std::string said = child < 0 ? "no child process could be started" : heard(ends[0], 2 * limits.seconds + 1);
  ::close(ends[0]);
  int status = 0;
  if (child > 0) {
    ::kill(child, SIGKILL);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  }
  if (said == kWell) return "";
  if (!said.empty()) return said;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) return "it is nested too deeply";
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) return "it takes too much memory";
  return fmt::format("it takes longer than {} seconds", limits.seconds);
}

}  // namespace jet
