#include "jet/serve/metrics.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

namespace jet {
namespace {

struct Metric {
  const char *name, *kind, *help;
  double value;
};

std::vector<Metric> metrics_of(const EngineThread& engine) {
  const EngineStats s = engine.stats();
  const auto& o = engine.options();
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  return {
      {"requests", "counter", "requests taken", number(s.requests)},
      {"prompt_tokens", "counter", "tokens of prompts, cached ones included", number(s.prompt_tokens)},
      {"cached_tokens", "counter", "tokens of prompts that the prefix cache had", number(s.cached_tokens)},
      {"generated_tokens", "counter", "tokens made", number(s.generated_tokens)},
      {"running", "gauge", "texts that are read or made", number(s.running)},
      {"waiting", "gauge", "texts that wait for memory", number(s.waiting)},
      {"sequence_bytes", "gauge", "memory set aside for running texts", number(s.sequence_bytes)},
      {"sequence_budget", "gauge", "memory that there is for them", number(o.scheduler.cache_bytes)},
      {"cache_bytes", "gauge", "memory of the prefix cache", number(s.cache_bytes)},
      {"cache_budget", "gauge", "memory that there is for it", number(o.cache_bytes)},
      {"checkpoints", "gauge", "places in the prefix cache to go on from", number(s.checkpoints)},
      {"cache_dir_bytes", "gauge", "what the prefix cache has on disk", number(s.folder.bytes)},
      {"cache_dir_budget", "gauge", "what it may have there", number(o.folder.path.empty() ? 0 : o.folder.bytes)},
      {"cache_dir_files", "gauge", "conversations there", number(s.folder.files)},
      {"cache_dir_waiting", "gauge", "conversations that are to be written there", number(s.folder.waiting)},
      {"cache_dir_reads", "counter", "conversations read from there", number(s.folder.read)},
      {"cache_dir_writes", "counter", "conversations written there", number(s.folder.written)},
      {"cache_dir_let_go", "counter", "conversations that could not be written in time or in size",
       number(s.folder.let_go)},
      {"uptime_s", "gauge", "seconds since the start", s.uptime_s},
      {"decode_tps", "gauge", "tokens made a second, of the last five", s.decode_tps},
      {"prefill_tps", "gauge", "tokens of prompts read a second, of the last five", s.prefill_tps},
  };
}

}  // namespace

Json stats_json(const EngineThread& engine) {
  Json j = Json::object();
  for (const auto& m : metrics_of(engine)) j[m.name] = m.value;
  return j;
}

std::string metrics_text(const EngineThread& engine) {
  std::string text;
  for (const auto& m : metrics_of(engine)) {
    const char* suffix = m.kind == std::string_view("counter") ? "_total" : "";
    text += fmt::format("# HELP jet_{0}{1} {2}\n# TYPE jet_{0}{1} {3}\njet_{0}{1} {4}\n", m.name, suffix, m.help,
                        m.kind, m.value);
  }
  return text;
}

}  // namespace jet
