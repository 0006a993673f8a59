#include "jet/engine/prefix_folder.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <new>
#include <utility>

#include "jet/base/file.h"
#include "jet/base/hash.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".path";
constexpr int kWriterNice = 10;  // decoding goes first

/// The file to lock in a folder that is there now, for its owner only: it holds what people wrote.
std::string lock_of(const std::string& folder) {
  std::error_code ec;
  if (fs::create_directories(folder, ec)) fs::permissions(folder, fs::perms::owner_all, ec);
  require(!ec && is_folder(folder), "{}: cannot make the folder: {}", folder, ec ? ec.message() : "it is a file");
  return folder + "/lock";
}

/// The keys after each token.
std::vector<uint64_t> keys_of(std::span<const int32_t> ids) {
  std::vector<uint64_t> keys;
  for (size_t i = 0; i < ids.size(); ++i) keys.push_back(prefix_key(i == 0 ? 0 : keys.back(), ids.subspan(i, 1)));
  return keys;
}

/// The run of a path that ends after so many tokens, cut out of a longer one where none does.
PrefixRun& run_to(PrefixPath& path, int64_t tokens) {
  auto run = path.runs.begin();
  int64_t end = std::ssize(run->ids);
  while (end < tokens) end += std::ssize((++run)->ids);
  if (end == tokens) return *run;
  const int64_t size = std::ssize(run->ids), n = size - (end - tokens);
  PrefixRun first{.ids = {run->ids.begin(), run->ids.begin() + n}, .rows = run->rows->run(0, n)};
  run->rows = run->rows->run(n, size);
  run->ids.erase(run->ids.begin(), run->ids.begin() + n);
  return *path.runs.insert(run, std::move(first));
}

}  // namespace

PrefixFolder::PrefixFolder(PrefixFolderOptions options, std::shared_ptr<const SequenceState> like)
    : options_(std::move(options)), like_(std::move(like)), lock_(lock_of(options_.path)) {
  require(options_.bytes >= 0, "{}: a budget of {} bytes, expected 0 or more", options_.path, options_.bytes);
  require(lock_.try_lock(0), "{}: another server uses this folder; name another one", options_.path);
  scan();
  remove_files(oldest(options_.bytes, {}));
  writer_ = std::thread([this] { write_loop(); });
}

PrefixFolder::~PrefixFolder() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  came_.notify_one();
  writer_.join();
}

void PrefixFolder::tell(const std::string& line) const {
  if (options_.tell) options_.tell(line);
}

/// What the folder holds, the file used longest ago first.
void PrefixFolder::scan() {
  std::vector<std::pair<fs::file_time_type, std::string>> names;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(options_.path, ec)) {
    const std::string name = entry.path().filename().string();
    if (name.find(std::string(kSuffix) + ".tmp-") != name.npos) {  // of a process that was killed
      ::unlink(entry.path().c_str());
    } else if (name.ends_with(kSuffix)) {
      names.emplace_back(entry.last_write_time(ec), name);
    }
  }
  std::sort(names.begin(), names.end());
  int others = 0;
  for (const auto& [time, name] : names) {
    try {
      const PrefixFile file(path_of(name), options_.owner, like_);
      const auto keys = keys_of(file.ids());
      std::vector<Checkpoint> checkpoints;
      for (size_t i = 0; i < file.runs().size(); ++i) {
        const auto& run = file.runs()[i];
        if (run.has_state) checkpoints.push_back({keys[run.end - 1], i, run.end, run.is_mark});
      }
      add(name, file.bytes(), std::move(checkpoints));
    } catch (const ForeignFile&) {
      add(name, static_cast<int64_t>(fs::file_size(path_of(name), ec)), {});
      ++others;
    } catch (const DamagedFile& e) { damaged(name, e.what()); } catch (const Error& e) {
      tell(e.what());  // cannot be opened
    }
  }
  if (others > 0)
    tell(fmt::format("{}: {} files are of other models, options or versions and are not used", options_.path, others));
}

/// Takes a file into the books; the caller holds the mutex, where there are other threads.
void PrefixFolder::add(const std::string& name, int64_t bytes, std::vector<Checkpoint> checkpoints) {
  forget(name);
  for (const auto& c : checkpoints) places_.emplace(c.key, name);
  files_[name] = {bytes, ++clock_, std::move(checkpoints)};
  stats_.bytes += bytes;
  stats_.files = std::ssize(files_);
}

void PrefixFolder::forget(const std::string& name) {
  const auto found = files_.find(name);
  if (found == files_.end()) return;
  for (const auto& c : found->second.checkpoints) {
    const auto [begin, end] = places_.equal_range(c.key);
    const auto place = std::find_if(begin, end, [&](const auto& p) { return p.second == name; });
    if (place != end) places_.erase(place);
  }
  stats_.bytes -= found->second.bytes;
  files_.erase(found);
  stats_.files = std::ssize(files_);
}

void PrefixFolder::remove_files(const std::vector<std::string>& names) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& name : names) forget(name);
  }
  for (const auto& name : names) ::unlink(path_of(name).c_str());  // which may take its time
}

void PrefixFolder::damaged(const std::string& name, const std::string& why) {
  remove_files({name});
  tell(why + "; it was removed");
}

bool PrefixFolder::has(uint64_t key) const {
  const std::lock_guard lock(mutex_);
  return places_.contains(key) || waiting_.contains(key);
}

void PrefixFolder::put(PrefixPath path) {
  Queued queued{.path = std::move(path)};
  queued.bytes = queued.path.bytes();
  uint64_t key = 0;
  for (const auto& run : queued.path.runs) {
    key = prefix_key(key, run.ids);
    if (run.state) queued.keys.push_back(key);
  }
  const bool fits = prefix_file_bytes(queued.path) <= options_.bytes;
  {
    const std::lock_guard lock(mutex_);
    if (!fits || (!takes_all_ && queued_bytes_ > 0 && queued_bytes_ + queued.bytes > options_.most_queued)) {
      ++stats_.let_go;
      return;
    }
    waiting_.insert(queued.keys.begin(), queued.keys.end());
    queued_bytes_ += queued.bytes;
    queue_.push_back(std::move(queued));
  }
  came_.notify_one();
}

void PrefixFolder::take_all() {
  const std::lock_guard lock(mutex_);
  takes_all_ = true;
}

void PrefixFolder::wait() {
  std::unique_lock lock(mutex_);
  written_.wait(lock, [&] { return queue_.empty(); });
}

void PrefixFolder::write_loop() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kWriterNice);
  for (;;) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return stops_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Queued& queued = queue_.front();  // stays where it is while others are put behind it
    lock.unlock();
    std::string failure;
    try {
      write(queued);
    } catch (const std::exception& e) { failure = e.what(); }
    lock.lock();
    ++(failure.empty() ? stats_.written : stats_.let_go);
    const bool is_news = !failure.empty() && !writing_failed_;
    writing_failed_ = !failure.empty();
    leave_queue(queue_.begin());
    lock.unlock();
    written_.notify_all();
    if (is_news) tell(failure + "; what does not fit into memory is read anew until it can be written again");
  }
}

/// Under the lock.
void PrefixFolder::leave_queue(std::list<Queued>::iterator queued) {
  for (const uint64_t key : queued->keys) waiting_.erase(waiting_.find(key));
  queued_bytes_ -= queued->bytes;
  queue_.erase(queued);
}

/// Gives marks that files have and the path lacks to the path. Returns the files that it then stands for.
std::vector<std::string> PrefixFolder::take_over(PrefixPath& path) const {
  const auto keys = keys_of(path.ids());
  std::map<std::string, File> on_way;
  {
    const std::lock_guard lock(mutex_);
    for (const uint64_t key : keys) {
      const auto [begin, end] = places_.equal_range(key);
      for (auto p = begin; p != end; ++p) on_way.emplace(p->second, files_.at(p->second));
    }
  }
  std::vector<std::string> replaced;
  for (const auto& [name, file] : on_way) {
    const auto is_here = [&](const Checkpoint& c) {
      return c.tokens <= std::ssize(keys) && keys[c.tokens - 1] == c.key;
    };
    if (!std::all_of(file.checkpoints.begin(), file.checkpoints.end(), is_here)) continue;
    try {
      const PrefixFile open(path_of(name), options_.owner, like_);
      for (const auto& c : file.checkpoints) {
        if (!c.is_mark) continue;
        PrefixRun& run = run_to(path, c.tokens);
        if (!run.state) run.state = open.read_state(c.run);
        run.is_mark = true;
      }
      replaced.push_back(name);
    } catch (const Error&) {}  // who asks for it is told
  }
  return replaced;
}

/// Files to remove, so that no more than so many bytes are left beside those that are spared.
std::vector<std::string> PrefixFolder::oldest(int64_t most_bytes, const std::vector<std::string>& spared) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<int64_t, std::string>> by_use;
  int64_t bytes = 0;
  for (const auto& [name, file] : files_) {
    if (std::find(spared.begin(), spared.end(), name) != spared.end()) continue;
    by_use.emplace_back(file.used, name);
    bytes += file.bytes;
  }
  std::sort(by_use.begin(), by_use.end());
  std::vector<std::string> names;
  for (const auto& [used, name] : by_use) {
    if (bytes <= most_bytes) break;
    bytes -= files_.at(name).bytes;
    names.push_back(name);
  }
  return names;
}

void PrefixFolder::write(Queued& queued) {
  auto replaced = take_over(queued.path);
  std::vector<Checkpoint> checkpoints;
  uint64_t key = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < queued.path.runs.size(); ++i) {
    const PrefixRun& run = queued.path.runs[i];
    key = prefix_key(key, run.ids);
    tokens += std::ssize(run.ids);
    if (run.state) checkpoints.push_back({key, i, tokens, run.is_mark});
  }
  remove_files(oldest(options_.bytes - prefix_file_bytes(queued.path), replaced));
  const std::string name = hash_text(content_hash(options_.owner.model + options_.owner.type) ^ key) + kSuffix;
  const int64_t bytes = write_prefix_file(path_of(name), queued.path, options_.owner);
  std::erase(replaced, name);
  {
    const std::lock_guard lock(mutex_);
    add(name, bytes, std::move(checkpoints));
    if (queued.removed) replaced.push_back(name);
  }
  remove_files(replaced);
}

std::optional<PrefixFolder::Place> PrefixFolder::place_of(std::span<const int32_t> ids) const {
  const std::lock_guard lock(mutex_);
  if (places_.empty()) return {};
  std::optional<Place> best;
  uint64_t key = 0;
  for (size_t n = 0; n + 1 < ids.size(); ++n) {
    key = prefix_key(key, ids.subspan(n, 1));
    const auto found = places_.find(key);
    if (found == places_.end()) continue;
    for (const auto& c : files_.at(found->second).checkpoints)
      if (c.key == key && c.tokens == static_cast<int64_t>(n + 1)) best = Place{c, found->second};
  }
  return best;
}

int64_t PrefixFolder::find(std::span<const int32_t> ids) const {
  const auto place = place_of(ids);
  return place ? place->tokens : 0;
}

std::optional<PrefixFolder::Fetched> PrefixFolder::fetch(std::span<const int32_t> ids, int64_t from,
                                                         int64_t most_bytes) {
  const auto place = place_of(ids);
  if (!place) return {};
  const std::string path = path_of(place->file);
  try {
    const PrefixFile file(path, options_.owner, like_);
    const auto n = static_cast<size_t>(place->tokens);
    const bool is_it = place->run < file.runs().size() && file.runs()[place->run].end == place->tokens &&
                       file.runs()[place->run].has_state &&
                       std::equal(ids.begin(), ids.begin() + n, file.ids().begin());
    if (!is_it) return {};  // another text of the same key, or another file by now
    if (file.bytes_of(place->run, from) > most_bytes) return {};
    Fetched made{{ids.begin(), ids.begin() + n}, file.read(place->run, from)};
    ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);  // used now, for the next server, too
    const std::lock_guard lock(mutex_);
    if (const auto found = files_.find(place->file); found != files_.end()) found->second.used = ++clock_;
    ++stats_.read;
    return made;
  } catch (const DamagedFile& e) { damaged(place->file, e.what()); } catch (const Error&) {  // it has gone meanwhile
  } catch (const std::bad_alloc&) {}
  return {};
}

void PrefixFolder::remove(std::span<const int32_t> ids) {
  const uint64_t key = prefix_key(0, ids);
  std::vector<std::string> names;
  {
    std::unique_lock lock(mutex_);
    for (auto q = queue_.begin(); q != queue_.end();) {
      const auto queued = q++;
      if (std::find(queued->keys.begin(), queued->keys.end(), key) == queued->keys.end()) continue;
      if (queued == queue_.begin()) {
        queued->removed = true;
      } else {
        leave_queue(queued);
      }
    }
    written_.wait(lock, [&] { return queue_.empty() || !queue_.front().removed; });
    const auto [begin, end] = places_.equal_range(key);
    for (auto p = begin; p != end; ++p) names.push_back(p->second);
  }
  remove_files(names);
}

PrefixFolderStats PrefixFolder::stats() const {
  const std::lock_guard lock(mutex_);
  PrefixFolderStats s = stats_;
  s.waiting = std::ssize(queue_);
  return s;
}

}  // namespace jet
