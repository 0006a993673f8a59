// llama.cpp's slots on a prefix cache: there each slot is a cache that holds one text, here all texts share a tree. So
// a slot is a name for the place in the tree where a text stands:
//
//   a request's "id_slot" (0 where there is none)  -->  slot: the tokens of its prompt
//   the slot's conversation                        =    what the tree has of that prompt, and the reply made last
//
//   POST /slots/ID?action=save     {"filename": NAME}   writes the conversation: tokens, rows, checkpoints
//                        restore   {"filename": NAME}   takes it into the tree; the slot stands at its end
//                        erase                          drops what no other conversation shares, on disk, too
//   save and erase take "messages" or "prompt" in the body instead of what the slot stands for.
//
// Names have no folders in them; files lie in one folder.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "jet/serve/engine_thread.h"
#include "jet/serve/text_request.h"

namespace jet {

class Slots {
 public:
  /// `folder`: of the files, at most `most_bytes` in all; none where empty. All else must outlive it.
  Slots(EngineThread& engine, const ServedModel& model, std::string folder, int64_t most_bytes);

  /// A request has come. Throws ApiError on an id_slot that is none.
  void note(const Json& body, const TextRequest& request);
  Json list();
  /// Throws ApiError.
  Json act(const std::string& id, const std::string& action, const Json& body);

 private:
  std::vector<int32_t> ids_of(int id, const Json& body);
  std::string file_of(const Json& body) const;
  Json save(int id, const Json& body);
  Json restore(int id, const Json& body);
  Json erase(int id, const Json& body);
  int64_t bytes_beside(const std::string& file) const;

  EngineThread& engine_;
  const ServedModel& model_;
  std::string folder_;
  int64_t most_bytes_;
  std::mutex saving_, mutex_;  // one file at a time; of what follows
  std::map<int, std::vector<int32_t>> ids_;
};

}  // namespace jet
