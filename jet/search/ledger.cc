#include "jet/search/ledger.h"

#include <algorithm>
#include <filesystem>

#include "jet/base/file.h"
#include "jet/base/rng.h"
#include "jet/train/world.h"

namespace jet {

namespace {

constexpr uint64_t kRun = 0;              // byte of the lock file that every run holds while it lasts
const char* const kFile = "ledger.json";  // claimed to add to the file

}  // namespace

Ledger::Claim::Claim(LockFile* locks, uint64_t byte, bool wait) : locks_(locks), byte_(byte) {
  if (!locks_) return;
  if (wait) {
    locks_->lock(byte_);
  } else {
    held_ = locks_->try_lock(byte_);
  }
}

Ledger::Claim::~Claim() {
  if (locks_ && held_) locks_->unlock(byte_);
}

Ledger::Claim Ledger::claim(const std::string& what, bool wait) const {
  return {shared_ ? locks_.get() : nullptr, hash64(what), wait};
}

Ledger::Ledger(std::string folder, const Json& identity, bool shared)
    : folder_(std::move(folder)), path_(folder_ + "/ledger.json"), shared_(shared) {
  require(!shared_ || world().alone(), "{}: processes of one world have one ledger, they do not share it", path_);
  all_ = world().from_first([&] { return open(identity); });
  for (const auto& [key, value] : identity.items()) {
    require(all_["identity"].contains(key) && all_["identity"][key] == value,
            "{}: this run was started with another {}; choose another --out, or remove {}", path_, key, folder_);
  }
}

void Ledger::enter() {
  std::error_code ec;
  std::filesystem::create_directories(folder_, ec);
  require(!ec, "{}: cannot make the folder: {}", folder_, ec.message());
  locks_ = std::make_unique<LockFile>(folder_ + "/claims");
  const bool locks = locks_->works();
  require(locks || !shared_,
          "{}: its file system has no locks, so trials cannot be shared out there; leave out --trials", folder_);
  require(!locks || locks_->try_lock(kRun, shared_),
          "{}: another run is at work there; wait for it, choose another --out, or start both with --trials", folder_);
}

// What stands in the file, which is made where there is none. A run that left nothing else, as one that an error in its
// recipe ended, has not begun.
Json Ledger::open(const Json& identity) {
  enter();
  const Claim file = claim(kFile);
  const Json fresh = {{"identity", identity}, {"results", Json::object()}};
  Json all = file_exists(path_) ? read_json(path_) : fresh;
  require(all.is_object() && all.contains("identity") && all.contains("results"), "{}: not a ledger", path_);
  const auto begun = [](const auto& entry) {
    const std::string name = entry.path().filename();
    return name != "ledger.json" && name != "claims";
  };
  const std::filesystem::directory_iterator entries(folder_);
  if (!shared_ && all["results"].empty() && std::none_of(begin(entries), end(entries), begun)) all = fresh;
  if (all == fresh) write_file(path_, json_text(all, 1));
  return all;
}

// Asked for by a process that holds the key's claim.
Json Ledger::compute(const std::string& key, const std::function<Json()>& f) {
  if (shared_) all_ = read_json(path_);  // others have added to it
  if (!has(key)) {
    const Json own = f(), result = world().from_first([&] { return own; });
    const Claim file = claim(kFile);
    if (shared_) all_ = read_json(path_);
    all_["results"][key] = result;
    if (world().first()) write_file(path_, json_text(all_, 1));
  }
  return all_["results"][key];
}

Json Ledger::once(const std::string& key, const std::function<Json()>& f) {
  if (has(key)) return all_["results"][key];
  const Claim mine = claim(key);
  return compute(key, f);
}

Json Ledger::once_by_first(const std::string& key, const std::function<Json()>& f) {
  return once(key, [&] { return world().from_first(f); });
}

void Ledger::once_if_free(const std::string& key, const std::function<Json()>& f) {
  if (has(key)) return;
  const Claim mine = claim(key, /*wait=*/false);
  if (mine.held()) compute(key, f);
}

std::vector<std::string> Ledger::keys(const std::string& prefix) const {
  std::vector<std::string> out;
  for (const auto& [key, value] : all_["results"].items())
    if (key.starts_with(prefix)) out.push_back(key);
  return out;
}

Json Ledger::find(const std::string& key) const { return has(key) ? all_["results"][key] : Json(); }

}  // namespace jet
