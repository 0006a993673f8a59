// jet generate MODEL -p PROMPT: text as it is made, on stdout; counts and speeds on stderr.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <memory>

#include "jet/base/json.h"
#include "jet/cli/commands.h"
#include "jet/engine/sampler.h"
#include "jet/text/tokenizer.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string model, prompt;
  GenerateOptions generate;
  int threads = 0;
  bool json = false;
};

/// Tokens end inside characters: bytes that may be the beginning of one wait for the rest.
class TextStream {
 public:
  std::string add(const std::string& bytes) {
    held_ += bytes;
    const size_t n = held_.size() - unfinished();
    const std::string whole = repair_utf8(held_.substr(0, n));
    held_.erase(0, n);
    return whole;
  }
  std::string finish() { return repair_utf8(std::exchange(held_, {})); }

 private:
  size_t unfinished() const {
    for (size_t back = 1; back <= std::min<size_t>(3, held_.size()); ++back) {
      const auto b = static_cast<unsigned char>(held_[held_.size() - back]);
      if (b < 0x80) return 0;
      if (b >= 0xc0) return back < (b >= 0xf0 ? 4u : b >= 0xe0 ? 3u : 2u) ? back : 0;
    }
    return 0;
  }
  std::string held_;
};

double seconds_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

void run(const Options& o) {
  const Sampler checked(o.generate.sampler);  // bad options are told before the model is loaded
  const auto tokenizer = Tokenizer::load(o.model);
  const auto engine = Engine::load(o.model, {.threads = o.threads});
  const auto prompt = tokenizer.encode(o.prompt, /*add_special_tokens=*/true);
  require(!prompt.empty(), "the prompt is empty; give some text with --prompt");

  auto sequence = engine->create();
  TextStream stream;
  std::string text;
  const auto emit = [&](const std::string& part) {
    text += part;
    if (o.json) return;
    fmt::print("{}", part);
    std::fflush(stdout);
  };
  const auto start = Clock::now();
  auto first = start;
  const auto ids = generate(*engine, *sequence, prompt, o.generate, [&](int32_t id) {
    if (first == start) first = Clock::now();
    if (!tokenizer.is_special(id)) emit(stream.add(tokenizer.bytes_of(id)));
    return true;
  });
  const auto end = Clock::now();
  emit(stream.finish());
  if (first == start) first = end;

  // The first token comes with the prompt; the others take a step each.
  const double prefill = static_cast<double>(prompt.size()) / seconds_between(start, first);
  const double decode = ids.size() > 1 ? static_cast<double>(ids.size() - 1) / seconds_between(first, end) : 0;
  if (o.json) {
    fmt::print("{}\n", Json{{"prompt", o.prompt},
                            {"text", text},
                            {"ids", ids},
                            {"prompt_tokens", prompt.size()},
                            {"new_tokens", ids.size()},
                            {"prefill_tokens_per_second", prefill},
                            {"decode_tokens_per_second", decode}}
                           .dump(2));
    return;
  }
  fmt::print("\n");
  std::fflush(stdout);
  fmt::print(stderr, "prompt: {} tokens, {:.1f} tok/s; new: {} tokens, {:.1f} tok/s\n", prompt.size(), prefill,
             ids.size(), decode);
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto o = std::make_shared<Options>();
  auto& g = o->generate;
  auto* c = app.add_subcommand("generate", "continue a prompt");
  c->add_option("model", o->model, "model folder")->required();
  c->add_option("-p,--prompt", o->prompt, "text to continue")->required();
  c->add_option("-n,--max-new-tokens", g.max_new_tokens, "at most this many")->capture_default_str();
  c->add_option("--temperature", g.sampler.temperature, "0: always the likeliest token")->capture_default_str();
  c->add_option("--top-k", g.sampler.top_k, "only the k likeliest (0: all)")->capture_default_str();
  c->add_option("--top-p", g.sampler.top_p, "only the likeliest with this probability together")->capture_default_str();
  c->add_option("--seed", g.sampler.seed, "of the draws")->capture_default_str();
  c->add_option("--threads", o->threads, "0: all cores");
  c->add_flag("--ignore-eos", g.ignore_eos, "go on after the end of the text");
  c->add_flag("--json", o->json, "print one JSON object at the end");
  c->callback([o] { run(*o); });
}

}  // namespace jet
