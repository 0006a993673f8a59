#include "jet/search/ledger.h"

#include "jet/base/file.h"

namespace jet {

Ledger::Ledger(std::string folder, const Json& identity) : folder_(std::move(folder)), path_(folder_ + "/ledger.json") {
  if (file_exists(path_)) {
    all_ = read_json(path_);
    require(all_.is_object() && all_.contains("identity") && all_.contains("results"), "{}: not a ledger", path_);
    for (const auto& [key, value] : identity.items()) {
      require(all_["identity"].contains(key) && all_["identity"][key] == value,
              "{}: this run was started with another {}; choose another --out, or remove {}", path_, key, folder_);
    }
    return;
  }
  all_ = {{"identity", identity}, {"results", Json::object()}};
  write_file(path_, all_.dump(1));
}

Json Ledger::once(const std::string& key, const std::function<Json()>& f) {
  if (!has(key)) {
    Json result = f();
    all_["results"][key] = std::move(result);
    write_file(path_, all_.dump(1));
  }
  return all_["results"][key];
}

Json Ledger::find(const std::string& key) const { return has(key) ? all_["results"][key] : Json(); }

}  // namespace jet
