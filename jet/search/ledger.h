// What a run has found out so far: one JSON file, key -> result, replaced as a whole after every result. A run that was
// killed asks again for everything in order, and is answered from here up to where it stopped.
//
// One run at a time works in a folder. It may be many processes, in one of two ways:
//   a world (jet/train/world.h): all ask for the same keys at the same time; the first one's results count, and it
//     alone touches the folder.
//   a shared ledger: processes that know nothing of each other, started with the same folder. Each key is computed by
//     one that claims it, others that ask for it wait; a process that dies loses its claim and nothing else.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/base/lock_file.h"

namespace jet {

class Ledger {
 public:
  /// Opens or makes `folder`/ledger.json. `identity` names what the results depend on (recipe, base model): a ledger
  /// of another identity is refused, and one where another run is at work.
  Ledger(std::string folder, const Json& identity, bool shared = false);

  /// The stored result of `key`, or f()'s, stored. Every process of a world runs f, which may train.
  Json once(const std::string& key, const std::function<Json()>& f);
  /// The same for work that one process does (evaluations, measurements): the others of a world wait, asleep.
  Json once_by_first(const std::string& key, const std::function<Json()>& f);
  /// once(), unless another process is at it.
  void once_if_free(const std::string& key, const std::function<Json()>& f);
  bool has(const std::string& key) const { return all_["results"].contains(key); }
  /// Keys that begin with `prefix`.
  std::vector<std::string> keys(const std::string& prefix) const;
  /// The result of `key`, or null.
  Json find(const std::string& key) const;

  /// The same of results that are structs (results.h); result() throws where there is none.
  template <HasFields S>
  S once(const std::string& key, const std::function<Json()>& f) {
    return from_json_fields<S>(once(key, f), path_ + ": " + key);
  }
  template <HasFields S>
  S once_by_first(const std::string& key, const std::function<Json()>& f) {
    return from_json_fields<S>(once_by_first(key, f), path_ + ": " + key);
  }
  template <HasFields S>
  S result(const std::string& key) const {
    require(has(key), "stage '{}' has not run in {}: run it first, or leave out --only", key, folder_);
    return from_json_fields<S>(find(key), path_ + ": " + key);
  }
  const std::string& folder() const { return folder_; }

  /// Held by one process of a shared ledger at a time, until it goes out of scope; nothing elsewhere.
  class Claim {
   public:
    Claim(LockFile* locks, uint64_t byte, bool wait = true);
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    /// False where another process has it, and this one did not want to wait.
    bool held() const { return held_; }

   private:
    LockFile* locks_;
    uint64_t byte_;
    bool held_ = true;
  };
  Claim claim(const std::string& what, bool wait = true) const;

 private:
  Json open(const Json& identity);
  void enter();
  Json compute(const std::string& key, const std::function<Json()>& f);
  std::string folder_, path_;
  bool shared_;
  std::unique_ptr<LockFile> locks_;  // the first process has it
  Json all_;
};

}  // namespace jet
