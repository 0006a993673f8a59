#include "jet/serve/slots.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <utility>

#include "jet/base/file.h"
#include "jet/serve/api_error.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

constexpr int kMostSlots = 64;
constexpr size_t kMostNameBytes = 100;

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

int slot_of(int64_t id) {
  if (id < 0 || id >= kMostSlots)
    throw ApiError(400, fmt::format("request: slot {} is not in 0..{}", id, kMostSlots - 1));
  return static_cast<int>(id);
}

}  // namespace

Slots::Slots(EngineThread& engine, const ServedModel& model, std::string folder, int64_t most_bytes)
    : engine_(engine), model_(model), folder_(std::move(folder)), most_bytes_(most_bytes) {}

void Slots::note(const Json& body, const TextRequest& request) {
  int64_t id = 0;
  if (body.contains("id_slot") && !body["id_slot"].is_null()) {
    if (!body["id_slot"].is_number_integer()) throw ApiError(400, "request: 'id_slot' is no whole number");
    id = std::max<int64_t>(0, body["id_slot"].get<int64_t>());  // -1: any
  }
  const int slot = slot_of(id);
  const std::lock_guard lock(mutex_);
  ids_[slot] = request.choices.back().prompt;
}

Json Slots::list() {
  std::map<int, std::vector<int32_t>> slots;
  {
    const std::lock_guard lock(mutex_);
    slots = ids_;
  }
  Json all = Json::array();
  for (const auto& [id, ids] : slots) {
    int64_t cached = 0;
    engine_.run_on_cache([&](PrefixCache& cache) { cached = std::ssize(cache.path_of(ids).ids()); });
    all.push_back({{"id", id},
                   {"n_ctx", model_.engine.spec().max_position_embeddings},
                   {"n_prompt_tokens", ids.size()},
                   {"n_cached_tokens", cached}});
  }
  return all;
}

Json Slots::act(const std::string& id, const std::string& action, const Json& body) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  const int slot = slot_of(error == std::errc() && end == id.data() + id.size() ? number : -1);
  if (action == "save") return save(slot, body);
  if (action == "restore") return restore(slot, body);
  if (action == "erase") return erase(slot, body);
  throw ApiError(400, fmt::format("request: action '{}' is none of save, restore and erase", action));
}

/// What the body names, or else the slot.
std::vector<int32_t> Slots::ids_of(int id, const Json& body) {
  if (body.contains("messages")) return chat_prompt_of(model_, body).ids;
  if (body.contains("prompt")) return read_completion_request(model_, body).choices.front().prompt;
  const std::lock_guard lock(mutex_);
  const auto found = ids_.find(id);
  if (found == ids_.end()) throw ApiError(400, fmt::format("slot {} is empty: no request has named it", id));
  return found->second;
}

/// The file that a request names, which lies in the folder: a name has neither folders nor a way out of it.
std::string Slots::file_of(const Json& body) const {
  if (folder_.empty())
    throw ApiError(400, "this server saves no slots; start it with --slot-save-path DIR or --cache-dir DIR");
  if (!body.contains("filename") || !body["filename"].is_string())
    throw ApiError(400, "request: 'filename' is no text");
  const auto name = body["filename"].get<std::string>();
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (name.empty() || name.size() > kMostNameBytes || name[0] == '.' ||
      !std::all_of(name.begin(), name.end(), is_plain))
    throw ApiError(400, fmt::format("request: a 'filename' has 1 to {} letters, digits, '.', '_' and '-', and does not "
                                    "begin with '.'",
                                    kMostNameBytes));
  return folder_ + "/" + name;
}

/// What the folder holds beside a file.
int64_t Slots::bytes_beside(const std::string& file) const {
  int64_t bytes = 0;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder_, ec)) {
    const auto n = entry.path() != file && entry.is_regular_file(ec) ? entry.file_size(ec) : 0;
    if (!ec) bytes += static_cast<int64_t>(n);
  }
  return bytes;
}

Json Slots::save(int id, const Json& body) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string file = file_of(body);
  const auto ids = ids_of(id, body);
  PrefixPath path;
  engine_.run_on_cache([&](PrefixCache& cache) { path = cache.path_of(ids); });
  if (path.runs.empty()) throw ApiError(400, "the cache has nothing of this text; ask for a completion first");
  const std::lock_guard lock(saving_);
  std::error_code ec;
  if (fs::create_directories(folder_, ec)) fs::permissions(folder_, fs::perms::owner_all, ec);
  if (bytes_beside(file) + prefix_file_bytes(path) > most_bytes_)
    throw ApiError(400, fmt::format("the folder of saved slots may have {} bytes; remove files there, or raise "
                                    "--cache-dir-size",
                                    most_bytes_));
  const int64_t bytes = write_prefix_file(file, path, engine_.owner());
  return {{"id_slot", id},
          {"filename", body["filename"]},
          {"n_saved", path.ids().size()},
          {"n_written", bytes},
          {"timings", {{"save_ms", milliseconds_since(begin)}}}};
}

Json Slots::restore(int id, const Json& body) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string path = file_of(body), name = body["filename"];
  if (!file_exists(path)) throw ApiError(404, fmt::format("there is no saved slot '{}'", name));
  try {
    const PrefixFile file(path, engine_.owner(), engine_.empty_state());
    if (file.bytes() > engine_.options().cache_bytes)
      fail("{}: has {} bytes, the cache {}; raise --cache", path, file.bytes(), engine_.options().cache_bytes);
    std::vector<PrefixRun> runs;
    int64_t from = 0;
    for (size_t i = 0; i < file.runs().size(); ++i) {
      if (!file.runs()[i].has_state) continue;
      runs.push_back(file.read(i, from));
      from = file.runs()[i].end;
    }
    bool kept = true;
    engine_.run_on_cache([&](PrefixCache& cache) {
      size_t end = 0;
      for (const auto& run : runs) {
        end += run.ids.size();
        kept = cache.insert(std::span(file.ids()).first(end), run);
      }
    });
    if (!kept) fail("{}: does not fit into the cache; raise --cache", path);
    const std::lock_guard lock(mutex_);
    ids_[id] = file.ids();
    return {{"id_slot", id},
            {"filename", name},
            {"n_restored", file.ids().size()},
            {"n_read", file.bytes()},
            {"timings", {{"restore_ms", milliseconds_since(begin)}}}};
  } catch (const Error& e) {  // whose text begins with the path, which is nobody's business
    const std::string text = e.what(), lead = folder_ + "/";
    throw ApiError(400, text.rfind(lead, 0) == 0 ? text.substr(lead.size()) : text);
  }
}

Json Slots::erase(int id, const Json& body) {
  const auto ids = ids_of(id, body);
  PrefixPath path;
  int64_t tokens = 0;
  engine_.run_on_cache([&](PrefixCache& cache) {
    path = cache.path_of(ids);
    tokens = cache.forget(ids);
  });
  if (engine_.folder() && tokens > 0) engine_.folder()->remove(path.ids());
  const std::lock_guard lock(mutex_);
  ids_.erase(id);
  return {{"id_slot", id}, {"n_erased", tokens}};
}

}  // namespace jet
