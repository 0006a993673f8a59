#include "jet/cli/program.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "jet/base/error.h"

namespace jet {

void tell_error(const std::string& line) { std::fprintf(stderr, "jet: %s\n", line.c_str()); }

int run_program(const std::function<int()>& work, const std::function<void(const std::string& line)>& tell) {
  std::string message;
  try {
    const int code = work();
    const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    require(written, "stdout: cannot be written: {}", std::strerror(errno));
    return code;
  } catch (const Error& e) { message = e.what(); } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& e) { message = std::string("unexpected: ") + e.what(); }
  std::fflush(stdout);
  message = one_line(message);
  while (message.ends_with(' ')) message.pop_back();
  tell(message);
  return kError;
}

}  // namespace jet
