// jet generate MODEL -p PROMPT: text as it is made, on stdout; counts and speeds on stderr. generate_batch.h: many.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <memory>
#include <optional>

#include "jet/base/file.h"
#include "jet/base/json.h"
#include "jet/cli/commands.h"
#include "jet/cli/console.h"
#include "jet/cli/generate_batch.h"
#include "jet/cli/options.h"
#include "jet/engine/beam.h"
#include "jet/engine/chat.h"
#include "jet/engine/prompt_lookup.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string model, prompt, prompt_file, prompts, system;
  bool has_prompt = false, chat = false;
  std::string save_state, load_state;
  SamplingArguments sampling;
  int num_beams = 1;
  std::optional<float> length_penalty;
  std::optional<std::string> early_stopping;
  int lookup = 0;
  EngineArguments engine;
  int64_t batch_bytes = int64_t{1} << 30;
  bool json = false;
};

double seconds_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

/// Bad options are told before the model is loaded.
void check(Options& o) {
  o.sampling.check();
  require(o.has_prompt + !o.prompt_file.empty() + !o.prompts.empty() <= 1,
          "--prompt, --prompt-file and --prompts: give one of them");
  require(o.system.empty() || o.chat, "--system is for --chat: give that too");
  if (!o.prompts.empty()) {
    require(o.num_beams == 1 && o.lookup == 0 && o.save_state.empty() && o.load_state.empty(),
            "--prompts does not go with --num-beams, --lookup, --save-state or --load-state");
  }
  if (o.early_stopping) early_stopping_from(*o.early_stopping);
  if (o.num_beams == 1) {
    require(!o.length_penalty, "--length-penalty is for beam search: give --num-beams too");
    require(!o.early_stopping, "--early-stopping is for beam search: give --num-beams too");
    return;
  }
  require(o.sampling.asked.temperature.value_or(0) == 0,
          "--num-beams searches, --temperature samples: give one of them");
  require(o.lookup == 0, "--num-beams and --lookup do not go together: give one of them");
  require(o.sampling.generate.stop_strings.empty(), "--num-beams and --stop do not go together: give one of them");
  require(o.save_state.empty(), "--save-state does not go with --num-beams, which keeps no single state");
}

struct Made : Generated {
  std::vector<Beam> beams{};             // of a beam search
  std::optional<LookupResult> lookup{};  // of decoding with drafts
};

Made make(const Options& o, const GenerateOptions& g, Engine& engine, Sequence& sequence,
          const std::vector<int32_t>& prompt, const OnToken& on_token) {
  if (o.num_beams > 1) {
    auto beams = beam_search(engine, sequence, prompt,
                             {.num_beams = o.num_beams,
                              .length_penalty = o.length_penalty.value_or(1),
                              .early_stopping = early_stopping_from(o.early_stopping.value_or("false")),
                              .max_new_tokens = g.max_new_tokens,
                              .ignore_eos = g.ignore_eos,
                              .sampler = g.sampler});
    const Beam& best = beams.front();
    return {{best.ids, g.tokenizer->decode(best.ids, /*skip_special_tokens=*/true), best.finish}, beams};
  }
  if (o.lookup > 0) {
    auto made = generate_with_lookup(engine, sequence, prompt, g, {.draft = o.lookup}, on_token);
    return {made, {}, made};
  }
  return {generate(engine, sequence, prompt, g, on_token)};
}

/// The state after the whole text: the last token made has not been run yet, unless an eos came after it.
void save(const Options& o, Engine& engine, Sequence& sequence, int64_t length, const std::vector<int32_t>& ids) {
  if (sequence.length() < length && length <= engine.spec().max_position_embeddings) {
    engine.prefill(sequence, std::span(ids).last(1), Want::nothing);
  }
  sequence.save(o.save_state);
}

void print_json(const Options& o, Json j, const Made& made) {
  for (const Beam& b : made.beams)
    j["beams"].push_back({{"ids", b.ids}, {"score", b.score}, {"ended", b.finish == Finish::eos}});
  if (made.lookup) {
    j["lookup"] = {
        {"passes", made.lookup->passes}, {"drafted", made.lookup->drafted}, {"accepted", made.lookup->accepted}};
  }
  j["prompt"] = o.prompt;
  fmt::print("{}\n", json_text(j, 2));
}

/// What a generation says at its end: JSON, or the counts on stderr.
void report(const Options& o, const Made& made, size_t n, double to_first, double after) {
  const size_t fresh = made.ids.size();
  // The first token comes with the prompt; the others take a step each.
  const double prefill = static_cast<double>(n) / to_first;
  const double decode = fresh > 1 ? static_cast<double>(fresh - 1) / after : 0;
  Json j{{"text", made.text},
         {"ids", made.ids},
         {"finish", name_of(made.finish)},
         {"prompt_tokens", n},
         {"new_tokens", fresh}};
  // A beam search tells its tokens at the end only.
  if (made.beams.empty()) j["prefill_tokens_per_second"] = prefill, j["decode_tokens_per_second"] = decode;
  if (o.json) return print_json(o, std::move(j), made);
  fmt::print("\n");
  std::fflush(stdout);
  if (made.beams.empty()) {
    fmt::print(stderr, "prompt: {} tokens, {:.1f} tok/s; new: {} tokens, {:.1f} tok/s\n", n, prefill, fresh, decode);
  } else {
    fmt::print(stderr, "prompt: {} tokens; new: {} tokens, score {:.4f}; {:.2f} s\n", n, fresh,
               made.beams.front().score, to_first + after);
  }
  if (made.lookup) {
    fmt::print(stderr, "lookup: {} of {} drafted tokens accepted, {} passes\n", made.lookup->accepted,
               made.lookup->drafted, made.lookup->passes);
  }
}

/// The prompt: given, in a file, or what stands on standard input; of these two, a newline at the end is none of it.
std::string prompt_text(const Options& o) {
  if (o.has_prompt) return o.prompt;
  const bool from_file = !o.prompt_file.empty() && o.prompt_file != "-";
  require(
      !o.prompt_file.empty() || !stdin_is_terminal(),
      "there is no prompt; give --prompt TEXT, --prompt-file FILE, --prompts FILE.jsonl, or text on standard input");
  std::string text = from_file ? read_file(o.prompt_file) : read_stdin();
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::vector<int32_t> prompt_ids(const Options& o, const Tokenizer& tokenizer, bool begins) {
  if (!o.chat) return tokenizer.encode(o.prompt, /*add_special_tokens=*/begins);
  Json messages = Json::array();
  if (!o.system.empty()) messages.push_back({{"role", "system"}, {"content", o.system}});
  messages.push_back({{"role", "user"}, {"content", repair_utf8(o.prompt)}});
  return chat_prompt(ChatTemplate::load(o.model), tokenizer, {.messages = messages}).ids;
}

void run(Options& o) {
  check(o);
  if (!o.prompts.empty()) {
    return generate_batch({.model = o.model,
                           .prompts = o.prompts,
                           .system = o.system,
                           .chat = o.chat,
                           .batch_bytes = o.batch_bytes,
                           .sampling = o.sampling,
                           .engine = o.engine});
  }
  o.prompt = prompt_text(o);
  const auto tokenizer = Tokenizer::load(o.model);
  const auto engine = o.engine.load(o.model);
  auto sequence = engine->create();
  if (!o.load_state.empty()) sequence->load(o.load_state);
  const int64_t before = sequence->length();
  const auto prompt = prompt_ids(o, tokenizer, before == 0);
  require(!prompt.empty(), "the prompt is empty; give some text with --prompt");

  size_t shown_bytes = 0;  // of the text
  const auto show = [&](std::string_view part) {
    shown_bytes += part.size();
    if (o.json) return;
    fmt::print("{}", part);
    std::fflush(stdout);
  };
  const auto start = Clock::now();
  auto first = start;
  const Made made =
      make(o, o.sampling.settled(*engine, tokenizer), *engine, *sequence, prompt, [&](const NewToken& token) {
        if (first == start) first = Clock::now();
        show(token.text);
        return true;
      });
  const auto end = Clock::now();
  show(std::string_view(made.text).substr(shown_bytes));
  if (first == start) first = end;
  if (!o.save_state.empty())
    save(o, *engine, *sequence, before + static_cast<int64_t>(prompt.size() + made.ids.size()), made.ids);

  report(o, made, prompt.size(), seconds_between(start, first), seconds_between(first, end));
}

}  // namespace

void add_generate_command(CLI::App& c, int&) {
  auto o = std::make_shared<Options>();
  c.add_option("model", o->model, "model folder")->required();
  auto* prompt = c.add_option("-p,--prompt", o->prompt, "text to continue");
  c.add_option("--prompt-file", o->prompt_file, "file of the text to continue (-: standard input, as without any)");
  c.add_option("--prompts", o->prompts,
               "JSONL, a prompt a line, all at once: a string, {\"prompt\": ...} or {\"messages\": [...]}, with "
               "max_new_tokens, temperature, top_k, top_p, seed and stop of its own; prints a line of JSON for each");
  c.add_flag("--chat", o->chat, "the prompt is a message, put through the model's chat template");
  c.add_option("--system", o->system, "with --chat: what the model is told first");
  add_size(c, "--batch-memory", o->batch_bytes, "with --prompts: for keys, values and states of what runs at once");
  add_sampling_options(c, o->sampling);
  add_number(c, "--num-beams", o->num_beams, "beams of a beam search (1: none)", 1);
  add_number(c, "--length-penalty", o->length_penalty, "beam scores are divided by length to this power (1)", -1e3,
             1e3);
  c.add_option("--early-stopping", o->early_stopping, "of a beam search: true, false or never (false)");
  add_number(c, "--lookup", o->lookup, "draft so many tokens from the text itself and check them in one pass (0: off)",
             0);
  c.add_option("--save-state", o->save_state, "file for the state after the text");
  c.add_option("--load-state", o->load_state, "go on from a saved state: the prompt is appended to its text");
  add_engine_options(c, o->engine);
  c.add_flag("--ignore-eos", o->sampling.generate.ignore_eos, "go on after the end of the text");
  c.add_flag("--json", o->json, "print one JSON object at the end");
  c.footer("What options of sampling leave open is taken from the model's generation_config.json.");
  c.callback([o, prompt] {
    o->has_prompt = prompt->count() > 0;
    run(*o);
  });
}

}  // namespace jet
