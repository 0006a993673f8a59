// jet logits MODEL --ids in.safetensors --out out.safetensors:   input_ids [B, T] or [T] -> logits [B, T, V], fp32
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/storage/safetensors.h"

namespace jet {
namespace {

struct LogitsOptions {
  std::string model, ids, out;
  EngineArguments engine{.kv = "f32"};
  int chunk = 0;
};

void run(const LogitsOptions& o) {
  const auto engine = o.engine.load(o.model);
  const SafeTensors file = SafeTensors::open(o.ids);
  const StoredTensor& t = file.at("input_ids");
  require(t.shape.size() == 1 || t.shape.size() == 2, "{}: input_ids has shape {}, expected [T] or [B, T]", o.ids,
          to_string(t.shape));
  const int64_t batch = t.shape.size() == 2 ? t.shape[0] : 1, tokens = t.shape.back();
  require(batch > 0 && tokens > 0, "{}: input_ids has shape {}: there is nothing to run", o.ids, to_string(t.shape));
  const int64_t vocab = engine->spec().vocab_size;
  std::vector<int32_t> ids;
  for (const int64_t id : to_ints(t)) {
    require(id >= 0 && id < vocab, "{}: id {} is outside the vocabulary of {}", o.ids, id, vocab);
    ids.push_back(static_cast<int32_t>(id));
  }
  std::vector<float> logits;
  for (int64_t b = 0; b < batch; ++b) {
    auto sequence = engine->create();
    const auto rows = engine->prefill(*sequence, std::span(ids).subspan(b * tokens, tokens), Want::all, o.chunk);
    logits.insert(logits.end(), rows.begin(), rows.end());
  }
  write_safetensors(o.out, {{"logits", DType::f32, {batch, tokens, vocab}, logits.data()}});
}

}  // namespace

void add_logits_command(CLI::App& c, int&) {
  auto o = std::make_shared<LogitsOptions>();
  c.add_option("model", o->model, "model folder")->required();
  c.add_option("--ids", o->ids, "safetensors file with input_ids [B, T]")->required();
  c.add_option("--out", o->out, "safetensors file to write: logits [B, T, vocab]")->required();
  add_number(c, "--chunk", o->chunk, "tokens a pass (0: the engine's default)", 0);
  add_engine_options(c, o->engine);
  c.callback([o] { run(*o); });
}

}  // namespace jet
