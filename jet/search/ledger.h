// What a run has found out so far: one JSON file, key -> result, replaced as a whole after every result. A run that was
// killed asks again for everything in order, and is answered from here up to where it stopped.
#pragma once

#include <functional>
#include <string>

#include "jet/base/json.h"

namespace jet {

class Ledger {
 public:
  /// Opens or makes `folder`/ledger.json. `identity` names what the results depend on (recipe, base model): a ledger
  /// of another identity is refused.
  Ledger(std::string folder, const Json& identity);

  /// The stored result of `key`, or f()'s, stored.
  Json once(const std::string& key, const std::function<Json()>& f);
  bool has(const std::string& key) const { return all_["results"].contains(key); }
  /// The result of `key`, or null.
  Json find(const std::string& key) const;
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_, path_;
  Json all_;
};

}  // namespace jet
