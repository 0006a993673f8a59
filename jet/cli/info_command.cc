// jet info MODEL, or --shape NAME: what a model is made of, and what a token costs at each context length;
// jet info --cpu: what the machine is, and which kernels it runs.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/base/progress.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/eval/machine_info.h"
#include "jet/model/checkpoint.h"
#include "jet/model/model_cost.h"
#include "jet/model/shapes.h"

namespace jet {
namespace {

struct InfoOptions {
  std::string model, shape;
  std::vector<int64_t> contexts;
  bool cpu = false, json = false;
};

/// Bytes of the weights as stored; 0 where the folder holds a config.json only.
int64_t stored_bytes(const std::string& folder) {
  const std::string single = folder + "/model.safetensors";
  if (!file_exists(single) && !file_exists(single + ".index.json")) return 0;
  struct Nothing {};
  ModelWeights<Nothing> w;
  const Checkpoint c = Checkpoint::open(folder);
  int64_t bytes = 0;
  model_params(c.spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    bytes += static_cast<int64_t>(c.tensors.at(name).bytes.size());
    if (p.is_matrix()) bytes += static_cast<int64_t>(c.matrix(name, p.shape).scales.size());
  });
  return bytes;
}

/// "heads 4, kv_heads 2, head_dim 64": a layer's sizes, and what is unusual about the rest of it.
std::string sizes_of(const ModelSpec& s, int layer) {
  std::string text;
  const Json j = mixer_to_json(s.layers[layer]);
  for (const char* key : {"heads", "kv_heads", "v_heads", "head_dim", "dk", "dv", "conv"}) {
    if (j.contains(key)) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key, j[key].get<int>());
  }
  const LayerForm form = s.form(layer);
  if (form.norms == Norms::after) text += "; norms after, not before";
  if (!form.mlp) text += "; no MLP";
  return text;
}

struct Run {
  int first, last;
};

/// Neighbouring layers that are alike.
std::vector<Run> runs_of(const ModelSpec& s) {
  std::vector<Run> runs;
  for (int i = 0; i < s.n_layers(); ++i) {
    const int last = runs.empty() ? i : runs.back().last;
    if (last < i && s.form(last) == s.form(i) && mixer_to_json(s.layers[last]) == mixer_to_json(s.layers[i])) {
      runs.back().last = i;
    } else {
      runs.push_back({i, i});
    }
  }
  return runs;
}

Json to_json(const ModelSpec& s, int64_t weights, const std::vector<int64_t>& contexts) {
  Json j = spec_to_json(s);
  j["parameters"] = parameter_count(s);
  j["weight_bytes"] = weights;
  for (const int64_t n : contexts) {
    j["contexts"].push_back(
        {{"context", n}, {"cache_bytes", cache_bytes(s, n)}, {"flops_per_token", token_flops(s, n)}});
  }
  return j;
}

void print(const ModelSpec& s, int64_t weights, const std::vector<int64_t>& contexts) {
  fmt::print("{} layers, hidden {}, MLP {}, vocabulary {} ({}), context {}\n", s.n_layers(), s.hidden_size,
             s.intermediate_size, s.vocab_size, s.tie_word_embeddings ? "tied" : "untied", s.max_position_embeddings);
  fmt::print("{} parameters", format_count(static_cast<double>(parameter_count(s))));
  fmt::print("{}\n", weights > 0 ? fmt::format(", {:.1f} MB of weights", static_cast<double>(weights) * 1e-6)
                                 : std::string(", no weights here"));
  for (const Run& r : runs_of(s)) {
    const std::string span = r.first == r.last ? std::to_string(r.first) : fmt::format("{}-{}", r.first, r.last);
    fmt::print("  {:>7}  {:<16} {}\n", span, mixer_label(s.layers[r.first]), sizes_of(s, r.first));
  }
  fmt::print("{:>9}  {:>12}  {:>12}\n", "context", "cache MB", "MFLOP/token");
  for (const int64_t n : contexts) {
    fmt::print("{:>9}  {:>12.3f}  {:>12.1f}\n", n, static_cast<double>(cache_bytes(s, n)) * 1e-6,
               token_flops(s, n) * 1e-6);
  }
}

void print(const MachineInfo& m) {
  fmt::print("{}\n", m.processor);
  fmt::print("{} cores, {} threads by default\n", m.cores, m.threads);
  fmt::print("instruction sets  {}\n",
             m.features.empty() ? "none that we know" : fmt::format("{}", fmt::join(m.features, " ")));
  fmt::print("kernels           {}; chosen: {} (JET_ISA forces another)\n", fmt::join(m.kernels, " "), m.chosen);
  fmt::print("memory            {:.1f} GB, {:.1f} GB available\n", static_cast<double>(m.memory_bytes) * 1e-9,
             static_cast<double>(m.available_bytes) * 1e-9);
  fmt::print("huge pages        {}\n", m.huge_pages.empty() ? "unknown" : m.huge_pages);
}

void run_cpu(const InfoOptions& o) {
  require(o.model.empty() && o.shape.empty(), "--cpu describes the machine; leave the model out");
  const MachineInfo m = machine_info();
  if (o.json) {
    fmt::print("{}\n", json_text(to_json_fields(m), 2));
  } else {
    print(m);
  }
}

void run(InfoOptions o) {
  if (o.cpu) return run_cpu(o);
  require(o.model.empty() != o.shape.empty(), "name a model folder, or --shape and one of {}",
          fmt::join(shape_names(), ", "));
  const ModelSpec spec = o.shape.empty() ? read_spec(o.model) : shape_spec(o.shape);
  const int64_t weights = o.shape.empty() ? stored_bytes(o.model) : 0;
  if (o.contexts.empty()) {
    for (int64_t n = 1024; n <= 256 * 1024; n *= 2) o.contexts.push_back(n);
  }
  if (o.json) {
    fmt::print("{}\n", json_text(to_json(spec, weights, o.contexts), 2));
  } else {
    print(spec, weights, o.contexts);
  }
}

}  // namespace

void add_info_command(CLI::App& c, int&) {
  auto o = std::make_shared<InfoOptions>();
  c.add_option("model", o->model, "model folder (config.json is enough)");
  c.add_option("--shape", o->shape, fmt::format("instead: {}", fmt::join(shape_names(), ", ")));
  c.add_flag("--cpu", o->cpu, "instead: this machine, and the kernels that it runs");
  add_number(c, "--context", o->contexts, "context lengths (default: 1024, 2048, .. 262144)", 1, 1 << 30);
  c.add_flag("--json", o->json, "print one JSON object");
  c.callback([o] { run(*o); });
}

}  // namespace jet
