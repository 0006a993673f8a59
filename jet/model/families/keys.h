// What a family's config.json may say, as data: transformers' config class, key by key. A key that is absent has the
// family's default, not ours; a key that changes the model and of which one value alone is read is checked; keys that
// are not known are told of, since transformers passes over them, too.
#pragma once

#include <string>
#include <vector>

#include "jet/base/json.h"

namespace jet {

struct FamilyKeys {
  const char* read;           // {key: what stands where it is absent}; null where the family derives it from others
  const char* fixed = "{}";   // {key: the value that is read}: any other is refused; null: only where it is not set
  const char* harmless = "";  // words: keys that change nothing of a text's logits
};

/// `config` with the family's defaults; throws where a fixed key has another value.
Json with_defaults(const FamilyKeys& keys, const Json& config, const std::string& where);
/// Keys that the family does not know.
std::vector<std::string> unknown_keys(const FamilyKeys& keys, const Json& config);

/// layer_types, one of `known` a layer, or none where the key is absent or null. Throws where there are more or fewer
/// than layers, and on an unknown one.
std::vector<std::string> read_layer_types(const Json& config, int layers, const std::vector<std::string>& known,
                                          const std::string& where);

}  // namespace jet
