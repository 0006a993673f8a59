#include "jet/base/json.h"

#include "jet/base/file.h"

namespace jet {

Json parse_json(const std::string& text, const std::string& where) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& e) { fail("{}: not valid JSON at byte {}", where, e.byte); }
}

Json read_json(const std::string& path) { return parse_json(read_file(path), path); }

}  // namespace jet
