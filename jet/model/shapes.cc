#include "jet/model/shapes.h"

#include "jet/base/file.h"
#include "jet/model/checkpoint.h"

namespace jet {

namespace {

constexpr struct {
  const char *name, *config;
} kShapes[] = {
    {
        "jet-2b",
#include "jet-2b.inc"
    },
    {
        "jet-4b",
#include "jet-4b.inc"
    },
    {
        "qwen2.5-0.5b",
#include "qwen2.5-0.5b.inc"
    },
    {
        "qwen2.5-1.5b",
#include "qwen2.5-1.5b.inc"
    },
    {
        "qwen3-1.7b",
#include "qwen3-1.7b.inc"
    },
    {
        "qwen3.5-0.8b",
#include "qwen3.5-0.8b.inc"
    },
    {
        "qwen3.5-2b",
#include "qwen3.5-2b.inc"
    },
    {
        "llama-3.2-1b",
#include "llama-3.2-1b.inc"
    },
    {
        "gemma-3-1b",
#include "gemma-3-1b.inc"
    },
    {
        "granite-4.0-h-350m",
#include "granite-4.0-h-350m.inc"
    },
    {
        "olmo-hybrid-7b",
#include "olmo-hybrid-7b.inc"
    },
};

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const auto& s : kShapes) names.push_back(s.name);
  return names;
}

ModelSpec shape_spec(const std::string& name) {
  for (const auto& s : kShapes) {
    const std::string where = "shape " + name;
    if (name == s.name) return read_spec(parse_json(s.config, where), where);
  }
  require(file_exists(name + "/config.json"), "shape '{}': no such shape and no folder with a config.json (known: {})",
          name, fmt::join(shape_names(), ", "));
  return read_spec(name);
}

}  // namespace jet
