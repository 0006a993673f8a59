// Published models' shapes, embedded in the program (models/shapes/*.json): what can be measured and priced without a
// download.
#pragma once

#include <string>
#include <vector>

#include "jet/model/spec.h"

namespace jet {

/// "jet-2b", "jet-4b", "qwen2.5-0.5b", ...
std::vector<std::string> shape_names();
/// The spec of an embedded shape, or of FOLDER/config.json where `name` is a folder. Throws on any other name.
ModelSpec shape_spec(const std::string& name);

}  // namespace jet
