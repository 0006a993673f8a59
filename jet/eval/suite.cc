#include "jet/eval/suite.h"

#include <algorithm>
#include <sstream>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/eval/suite_metrics.h"

namespace jet {
namespace {

const char* const kSuites =
#include "suites_json.inc"
    ;

std::vector<Suite> suites_of(const Json& json, const std::string& where) {
  require(json.is_object(), "{}: expected an object: a suite's name, its definition", where);
  std::vector<Suite> suites;
  for (const auto& [name, definition] : json.items()) {
    suites.push_back(from_json_fields<Suite>(definition, where + ": " + name));
    suites.back().name = name;
  }
  return suites;
}

}  // namespace

void Suite::check(const std::string& where) const {
  check_metrics(*this, where);
  require(!files.empty(), "{}: files names none", where);
  require(options.empty() || output_type == "multiple_choice", "{}: options go with multiple_choice, not {}", where,
          output_type);
  require(num_fewshot >= 0 && generation_kwargs.max_gen_toks > 0, "{}: num_fewshot is {}, max_gen_toks {}", where,
          num_fewshot, generation_kwargs.max_gen_toks);
  require(!filter_list.empty(), "{}: filter_list is empty; leave it out where nothing is filtered", where);
}

std::vector<Suite> built_in_suites() { return suites_of(parse_json(kSuites, "data/suites.json"), "data/suites.json"); }

std::vector<Suite> read_suites(const std::string& path) { return suites_of(read_json(path), path); }

std::vector<Suite> suites_named(const std::string& names) {
  const auto known = built_in_suites();
  std::vector<Suite> chosen;
  std::stringstream in(names);
  for (std::string name; std::getline(in, name, ',');) {
    if (name.ends_with(".json")) {
      for (auto& suite : read_suites(name)) chosen.push_back(std::move(suite));
      continue;
    }
    const auto at = std::find_if(known.begin(), known.end(), [&](const Suite& s) { return s.name == name; });
    std::vector<std::string> all;
    for (const auto& s : known) all.push_back(s.name);
    require(at != known.end(), "no suite is called '{}' (known: {}; or a file NAME.json of definitions)", name,
            fmt::join(all, ", "));
    chosen.push_back(*at);
  }
  require(!chosen.empty(), "no suite is named; jet eval --list tells which there are");
  return chosen;
}

}  // namespace jet
