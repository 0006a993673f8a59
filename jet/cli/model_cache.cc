#include "jet/cli/model_cache.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>

#include "jet/base/file.h"
#include "jet/base/hash.h"
#include "jet/base/json.h"
#include "jet/base/lock_file.h"
#include "jet/base/progress.h"
#include "jet/storage/gguf.h"
#include "jet/text/tokenizer.h"

namespace jet {

namespace fs = std::filesystem;

namespace {

constexpr const char* kVersion = "1";
constexpr const char* kNote = "import.json";

/// The first 16 digits of a model's name are its hash.
uint64_t hash_in(const std::string& name) { return std::strtoull(name.substr(0, 16).c_str(), nullptr, 16); }

/// Of the model's files; remembered by path, size and time, as gigabytes take seconds to read.
uint64_t content_hash_of(const std::vector<std::string>& files, const std::string& cache) {
  std::string stamps;
  for (const auto& file : files) {
    struct stat s {};
    require(::stat(file.c_str(), &s) == 0, "{}: cannot be read", file);
    stamps += fmt::format("{}:{}:{}:{}.{}\n", fs::absolute(file).string(), s.st_ino, s.st_size, s.st_mtim.tv_sec,
                          s.st_mtim.tv_nsec);
  }
  const std::string seen = cache + "/seen-" + hash_text(content_hash(stamps));
  if (file_exists(seen)) {
    const std::string text = read_file(seen);
    if (text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos) return hash_in(text);
  }
  Hasher all;
  for (const auto& file : files) all.add(hash_text(file_hash(file)));
  write_file(seen, hash_text(all.value()));
  return all.value();
}

/// Held while a model is made; no lock where the file system has none.
class Claim {
 public:
  Claim(const std::string& cache, uint64_t hash) : file_(cache + "/lock"), hash_(hash), works_(file_.works()) {}
  bool try_take() { return works_ && file_.try_lock(hash_); }
  void take(const std::string& path) {
    if (!works_ || file_.try_lock(hash_)) return;
    fmt::print(stderr, "jet: waiting for another process that imports {}\n", path);
    file_.lock(hash_);
  }
  bool works() const { return works_; }

 private:
  LockFile file_;
  uint64_t hash_;
  bool works_;
};

/// What imports of this model left that were killed. To be called by who holds its lock.
void remove_leftovers(const std::string& folder) {
  const std::string begin = fs::path(folder).filename().string() + ".tmp-";
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(fs::path(folder).parent_path(), ignored)) {
    if (entry.path().filename().string().starts_with(begin)) fs::remove_all(entry.path(), ignored);
  }
}

GgufImportReport import_checked(const std::string& source, const std::string& target, std::optional<DType> type,
                                int threads, const std::function<void(const std::string& folder)>& finish) {
  std::unique_ptr<Progress> progress;
  GgufImportOptions options{.type = type, .threads = threads};
  options.progress = [&](int64_t done, int64_t total) {
    if (!progress) progress = std::make_unique<Progress>("import " + source, total, "weights");
    progress->update(done);
  };
  options.check = [&](const std::string& folder) {
    Tokenizer::load(folder);
    if (finish) finish(folder);
  };
  const GgufImportReport r = import_gguf(source, target, options);
  if (progress) progress->finish();
  return r;
}

void import_into(const std::string& file, const std::string& folder, std::optional<DType> type) {
  const auto note = [&](const std::string& made) {
    write_file(made + "/" + kNote, json_text(Json{{"file", fs::absolute(file).string()}}) + "\n");
  };
  const GgufImportReport r = import_checked(file, folder, type, 0, note);
  fmt::print(stderr, "jet: {} is imported into {}: {:.1f} MB of weights, {} (`jet cache` lists and clears)\n", file,
             folder, static_cast<double>(r.bytes) * 1e-6, r.types);
}

}  // namespace

GgufImportReport import_model(const std::string& source, const std::string& target, std::optional<DType> type,
                              int threads) {
  return import_checked(source, target, type, threads, nullptr);
}

std::string model_cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache && cache[0] == '/') return std::string(cache) + "/jet/gguf";
  require(
      home && home[0] == '/',
      "there is no place to keep imported models: neither XDG_CACHE_HOME nor HOME is set; import the file yourself: "
      "jet import FILE.gguf DIR");
  return std::string(home) + "/.cache/jet/gguf";
}

std::string model_folder_of(const std::string& path, std::optional<DType> type) {
  if (is_folder(path) || !(path.ends_with(".gguf") || is_gguf(path))) return path;
  const Gguf file = Gguf::open(path);
  const std::string cache = model_cache_folder();
  std::error_code ec;
  fs::create_directories(cache, ec);
  require(!ec, "{}: cannot make the folder: {}; set XDG_CACHE_HOME, or import the file: jet import", cache,
          ec.message());
  const uint64_t hash = content_hash_of(file.paths(), cache);
  const std::string folder =
      fmt::format("{}/{}-{}-{}", cache, hash_text(hash), type ? name_of(*type) : "as-is", kVersion);
  if (file_exists(folder)) return folder;
  Claim claim(cache, hash);
  claim.take(path);
  if (file_exists(folder)) return folder;
  if (claim.works()) remove_leftovers(folder);
  import_into(path, folder, type);
  return folder;
}

void take_gguf_files(CLI::App& command) {
  static constexpr const char* kModels[] = {"model",     "base",      "teacher",    "source",
                                            "tokenizer", "--student", "--tokenizer"};
  // Those that want numbers to train or to round: packed ones would not do.
  static constexpr const char* kOfFloats[] = {"postnas", "distill", "pretrain", "train", "quantize"};
  const auto among = [](const std::string& name, const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  const std::optional<DType> type = among(command.get_name(), kOfFloats) ? std::optional(DType::bf16) : std::nullopt;
  for (CLI::Option* option : command.get_options()) {
    if (!among(option->get_name(), kModels)) continue;
    option->transform([type](const std::string& path) { return model_folder_of(path, type); }, "", "");
  }
}

std::vector<CachedModel> cached_models() {
  std::vector<CachedModel> models;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(model_cache_folder(), none)) {
    if (!entry.is_directory()) continue;
    CachedModel m{.name = entry.path().filename(), .file = {}};
    for (const auto& part : fs::directory_iterator(entry.path(), none))
      m.bytes += static_cast<int64_t>(part.file_size(none));
    const std::string note = entry.path().string() + "/" + kNote;
    if (file_exists(note)) m.file = get<std::string>(read_json(note), "file", note);
    models.push_back(std::move(m));
  }
  std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return models;
}

std::vector<CachedModel> clear_model_cache(const std::vector<std::string>& names) {
  const std::string cache = model_cache_folder();
  const auto models = cached_models();
  for (const auto& name : names) {
    const bool there = std::any_of(models.begin(), models.end(), [&](const auto& m) { return m.name == name; });
    require(there, "{}: holds no import '{}'; `jet cache` lists them", cache, name);
  }
  std::vector<CachedModel> removed;
  for (const auto& m : models) {
    if (!names.empty() && std::find(names.begin(), names.end(), m.name) == names.end()) continue;
    Claim claim(cache, hash_in(m.name));
    if (claim.works() && !claim.try_take()) continue;
    // Under another name first: nobody may find half of it.
    const std::string folder = cache + "/" + m.name, leaving = m.file.empty() ? folder : folder + ".tmp-leaving";
    std::error_code ec;
    if (leaving != folder) fs::rename(folder, leaving, ec);
    if (!ec) fs::remove_all(leaving, ec);
    require(!ec, "{}: cannot be removed: {}", folder, ec.message());
    removed.push_back(m);
  }
  if (!names.empty()) return removed;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(cache, ignored)) {
    if (entry.path().filename().string().starts_with("seen-")) fs::remove(entry.path(), ignored);
  }
  return removed;
}

}  // namespace jet
