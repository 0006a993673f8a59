#include "jet/serve/runs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <utility>

#include "jet/base/file.h"
#include "jet/base/lock_file.h"
#include "jet/serve/api_error.h"

namespace jet {
namespace {

constexpr size_t kMostRuns = 1000;
constexpr int64_t kMostProgressBytes = int64_t{1} << 16, kMostReportBytes = int64_t{64} << 20;
constexpr size_t kMostText = 500;  // of a value that is handed on

/// A file descriptor, closed at the end; `in` -1: the working folder.
class Opened {
 public:
  Opened(int in, const std::string& name, int flags)
      : fd_(::openat(in < 0 ? AT_FDCWD : in, name.c_str(), flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Opened() {
    if (fd_ >= 0) ::close(fd_);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// One name in a folder: no path, and not hidden.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= NAME_MAX && name[0] != '.' && name.find('/') == name.npos &&
         name.find('\0') == name.npos;
}

/// What the system says of a plain file of at most so many bytes.
std::optional<struct stat> plain_file(int fd, int64_t most_bytes) {
  struct stat s {};
  if (fd < 0 || ::fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_size > most_bytes) return std::nullopt;
  return s;
}

/// A file's text, or none where it is no plain file, too large or cannot be read.
std::optional<std::string> text_of(int folder, const char* name, int64_t most_bytes) {
  const Opened file(folder, name, O_NOFOLLOW);
  const auto s = plain_file(file.fd(), most_bytes);
  if (!s) return std::nullopt;
  std::string text(static_cast<size_t>(s->st_size), '\0');
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = ::read(file.fd(), text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    at += static_cast<size_t>(n);
  }
  return text;
}

Json json_of(int folder, const char* name, int64_t most_bytes) {
  const auto text = text_of(folder, name, most_bytes);
  if (!text) return nullptr;
  try {
    return parse_json(*text, name);
  } catch (const Error&) { return nullptr; }
}

bool is_at_work(int folder) {
  const Opened claims(folder, "claims", O_NOFOLLOW);
  return plain_file(claims.fd(), INT64_MAX) && LockFile::is_held(claims.fd(), 0);
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  struct Close {
    void operator()(DIR* d) const { ::closedir(d); }
  };
  const std::unique_ptr<DIR, Close> folder(::opendir(path.c_str()));
  require(folder != nullptr, "{}: cannot be read: {}", path, std::strerror(errno));
  while (const dirent* entry = ::readdir(folder.get()))
    if (is_name(entry->d_name)) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

void copy_known(const Json& progress, Json& row) {
  for (const char* key : {"stage", "unit", "work", "note", "error"})
    if (progress.contains(key) && progress[key].is_string() && !progress[key].get_ref<const std::string&>().empty())
      row[key] = progress[key].get<std::string>().substr(0, kMostText);
  for (const char* key : {"at", "of", "done", "total", "share", "stage_eta_s", "eta_s", "tokens_per_second", "started"})
    if (progress.contains(key) && progress[key].is_number()) row[key] = progress[key];
}

}  // namespace

RunsFolder::RunsFolder(std::string path) : path_(std::move(path)) {
  require(is_folder(path_), "{}: no such folder; give the one that runs are written into (postnas --out DIR/NAME)",
          path_);
  for (const char* file : {"ledger.json", "report.json"})
    require(!file_exists(path_ + "/" + file), "{}: is a run itself; give the folder that it lies in", path_);
}

/// Of a run without progress.json, whose report is read again only where it has changed.
bool RunsFolder::has_final(const std::string& name, int folder) {
  const Opened file(folder, "report.json", O_NOFOLLOW);
  const auto s = plain_file(file.fd(), kMostReportBytes);
  if (!s) return false;
  const int64_t changed = s->st_mtim.tv_sec * 1'000'000'000 + s->st_mtim.tv_nsec;
  const std::lock_guard lock(mutex_);
  Seen& seen = seen_[name];
  if (seen.changed != changed || seen.size != s->st_size)
    seen = {changed, s->st_size, json_of(folder, "report.json", kMostReportBytes).contains("final")};
  return seen.has_final;
}

/// Null where the folder `name` holds no run.
Json RunsFolder::row(const std::string& name) {
  const Opened folder(-1, path_ + "/" + name, O_DIRECTORY | O_NOFOLLOW);
  if (!folder) return nullptr;
  struct stat report {};
  const Json progress = json_of(folder.fd(), "progress.json", kMostProgressBytes);
  const bool has_report = ::fstatat(folder.fd(), "report.json", &report, AT_SYMLINK_NOFOLLOW) == 0;
  if (!progress.is_object() && !has_report) return nullptr;
  Json row = {{"name", name}};
  copy_known(progress, row);
  const bool told = progress.contains("finished") && progress["finished"].is_boolean();
  const bool finished = told ? progress["finished"].get<bool>() : has_final(name, folder.fd());
  row["state"] = is_at_work(folder.fd()) ? "running" : finished ? "finished" : "stopped";
  row["finished"] = finished;
  const bool dated = progress.contains("updated") && fits<int64_t>(progress["updated"]);
  if (has_report)
    row["report_changed"] =
        1e3 * static_cast<double>(report.st_mtim.tv_sec) + static_cast<double>(report.st_mtim.tv_nsec / 1000000);
  row["updated"] = dated ? progress["updated"].get<int64_t>() : int64_t{report.st_mtime};
  return row;
}

Json RunsFolder::list() {
  std::vector<Json> rows;
  for (const auto& name : names_in(path_))
    if (Json one = row(name); !one.is_null()) rows.push_back(std::move(one));
  std::stable_sort(rows.begin(), rows.end(), [](const Json& a, const Json& b) {
    const bool first = a["state"] == "running", second = b["state"] == "running";
    return first != second ? first : a["updated"].get<int64_t>() > b["updated"].get<int64_t>();
  });
  if (rows.size() > kMostRuns) rows.resize(kMostRuns);
  return rows;
}

std::string RunsFolder::report(const std::string& name) const {
  std::optional<std::string> text;
  if (is_name(name)) {
    const Opened folder(-1, path_ + "/" + name, O_DIRECTORY | O_NOFOLLOW);
    if (folder) text = text_of(folder.fd(), "report.json", kMostReportBytes);
  }
  if (!text) throw ApiError(404, fmt::format("there is no report of a run '{}'", name.substr(0, kMostText)));
  return *text;
}

void add_run_routes(Routes& routes, const std::shared_ptr<RunsFolder>& runs) {
  const auto folder = [runs]() -> RunsFolder& {
    if (!runs) throw ApiError(404, "no folder of searches is served here; start the server with --runs FOLDER");
    return *runs;
  };
  routes.get("/runs", [folder](const auto&, auto& response) { send_json(response, folder().list()); });
  routes.get("/runs/([^/]+)", [folder](const httplib::Request& request, httplib::Response& response) {
    response.set_content(folder().report(request.matches[1]), "application/json");
  });
}

}  // namespace jet
