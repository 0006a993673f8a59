// jet cache [--clear [NAME ...]]: imports of GGUF files that commands made for themselves.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/base/error.h"
#include "jet/cli/commands.h"
#include "jet/cli/model_cache.h"

namespace jet {
namespace {

struct CacheCommand {
  std::vector<std::string> names;
  bool clear = false;
};

void print_imports(const std::vector<CachedModel>& models, const char* what) {
  int64_t bytes = 0;
  for (const auto& m : models) {
    fmt::print("{:<32} {:>10.1f} MB  {}\n", m.name, static_cast<double>(m.bytes) * 1e-6,
               m.file.empty() ? "(what an import left that did not end)" : m.file);
    bytes += m.bytes;
  }
  fmt::print("{}: {} import{} {}, {:.1f} MB\n", model_cache_folder(), models.size(), models.size() == 1 ? "" : "s",
             what, static_cast<double>(bytes) * 1e-6);
}

}  // namespace

void add_cache_command(CLI::App& c, int&) {
  auto o = std::make_shared<CacheCommand>();
  c.add_flag("--clear", o->clear, "remove all, or those named");
  c.add_option("names", o->names, "of imports to remove, as they are listed");
  c.callback([o] {
    require(o->clear || o->names.empty(), "names are given but not what to do with them; add --clear");
    if (o->clear) return print_imports(clear_model_cache(o->names), "removed");
    print_imports(cached_models(), "kept");
  });
}

}  // namespace jet
