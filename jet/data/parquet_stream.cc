// Parquet as JSONL, through the program jet-parquet (jet/cli/parquet_main.cc):
//
//   jet-parquet FILE COLUMN    prints    <number of rows>\n
//                                        {"COLUMN": "text"}\n      for each row
//                              or, on an error, one line to stderr, and its exit status is not 0
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "jet/base/error.h"
#include "jet/base/programs.h"
#include "jet/data/document_reader.h"

extern char** environ;

namespace jet {
namespace {

/// A program at work: what it prints, and what it says went wrong.
class Child {
 public:
  Child(const std::string& program, const std::vector<std::string>& arguments) {
    std::array<int, 2> out{}, err{};
    require(::pipe2(out.data(), O_CLOEXEC) == 0, "{}: cannot make a pipe: {}", program, std::strerror(errno));
    require(::pipe2(err.data(), O_CLOEXEC) == 0, "{}: cannot make a pipe: {}", program, std::strerror(errno));
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    const int error = posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]), ::close(err[1]);
    out_ = out[0], err_ = err[0];
    if (error != 0) pid_ = 0;
    require(error == 0, "{}: cannot be run: {}", program, std::strerror(error));
  }
  ~Child() {
    ::close(out_), ::close(err_);  // it stops when nobody reads on
    if (pid_ != 0) wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  size_t read(char* to, size_t size) { return read_from(out_, to, size); }
  /// "" where it ended well. After the end of what it prints.
  std::string complaint() {
    std::string text(4096, '\0');
    text.resize(read_from(err_, text.data(), text.size()));
    const int status = wait();
    if (status == 0) return {};
    return text.empty() ? fmt::format("jet-parquet ended with status {}", status) : text;
  }

 private:
  static size_t read_from(int fd, char* to, size_t size) {
    ssize_t n = 0;
    do n = ::read(fd, to, size);
    while (n < 0 && errno == EINTR);
    return static_cast<size_t>(std::max<ssize_t>(n, 0));
  }
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
    pid_ = 0;
    return status;
  }
  pid_t pid_ = 0;
  int out_ = -1, err_ = -1;
};

std::string parquet_program(const std::string& path) {
  std::string program = program_beside("jet-parquet");
  require(!program.empty(),
          "{}: reading Parquet needs jet-parquet beside jet: .venv/bin/python -m pip install pyarrow==26.0.1, then "
          "cmake --preset release and build again; or convert the file to JSONL",
          path);
  return program;
}

class ParquetStream : public ByteStream {
 public:
  ParquetStream(const std::string& path, const std::string& field)
      : bytes_(static_cast<int64_t>(std::filesystem::file_size(path))), child_(parquet_program(path), {path, field}) {
    for (char c = 0; child_.read(&c, 1) == 1 && c != '\n';) rows_ = rows_ * 10 + (c - '0');
  }
  size_t read(char* out, size_t size) override {
    const size_t n = ended_ ? 0 : child_.read(out, size);
    read_ += std::count(out, out + n, '\n');
    if (n > 0 || ended_) return n;
    ended_ = true;
    const std::string complaint = child_.complaint();
    if (!complaint.empty()) fail("{}", complaint.substr(0, complaint.find('\n')));
    return 0;
  }
  /// The file's bytes in the measure of the rows read.
  int64_t position() const override {
    return rows_ > 0 ? static_cast<int64_t>(static_cast<double>(bytes_) * static_cast<double>(read_) /
                                            static_cast<double>(rows_))
                     : 0;
  }

 private:
  int64_t bytes_, rows_ = 0, read_ = 0;
  Child child_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> open_parquet(const std::string& path, const std::string& field) {
  return std::make_unique<ParquetStream>(path, field);
}

}  // namespace jet
