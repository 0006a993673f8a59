// jet generate MODEL -p PROMPT: text as it is made, on stdout; counts and speeds on stderr.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <chrono>
#include <memory>
#include <optional>

#include "jet/base/json.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/engine/beam.h"
#include "jet/engine/prompt_lookup.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string model, prompt;
  std::string save_state, load_state;
  GenerateOptions generate;
  SamplingSettings asked;
  std::vector<std::string> logit_bias;  // ID=VALUE
  int num_beams = 1;
  std::optional<float> length_penalty;
  std::optional<std::string> early_stopping;
  int lookup = 0;
  EngineArguments engine;
  bool json = false;
};

/// "11=-2.5" -> (11, -2.5)
std::pair<int32_t, float> bias_from(const std::string& text) {
  std::pair<int32_t, float> bias;
  const char *end = text.data() + text.size(), *equal = std::find(text.data(), end, '=');
  const auto id = std::from_chars(text.data(), equal, bias.first);
  const auto value = std::from_chars(equal == end ? end : equal + 1, end, bias.second);
  require(id.ec == std::errc() && id.ptr == equal && value.ec == std::errc() && value.ptr == end,
          "--logit-bias is '{}', expected ID=VALUE, for example 11=-2.5 or 11=-inf", shown(text));
  return bias;
}

double seconds_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

/// Bad options are told before the model is loaded.
void check(const Options& o) {
  check_sampler(with_settings(o.generate.sampler, o.asked, {}));
  const TextStream checked(o.generate.stop_strings);
  if (o.early_stopping) early_stopping_from(*o.early_stopping);
  if (o.num_beams == 1) {
    require(!o.length_penalty, "--length-penalty is for beam search: give --num-beams too");
    require(!o.early_stopping, "--early-stopping is for beam search: give --num-beams too");
    return;
  }
  require(o.asked.temperature.value_or(0) == 0, "--num-beams searches, --temperature samples: give one of them");
  require(o.lookup == 0, "--num-beams and --lookup do not go together: give one of them");
  require(o.generate.stop_strings.empty(), "--num-beams and --stop do not go together: give one of them");
  require(o.save_state.empty(), "--save-state does not go with --num-beams, which keeps no single state");
}

/// The options with the model's settings where the caller left them open.
GenerateOptions settled(const Options& o, const Engine& engine, const Tokenizer& tokenizer) {
  const GenerationConfig& model = engine.generation();
  check_sampler(with_settings({}, {}, model.sampling), model.path);
  GenerateOptions g = o.generate;
  g.sampler = with_settings(g.sampler, o.asked, model.sampling);
  g.tokenizer = &tokenizer;
  return g;
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

void run(const Options& o) {
  check(o);
  const auto tokenizer = Tokenizer::load(o.model);
  const auto engine = o.engine.load(o.model);
  auto sequence = engine->create();
  if (!o.load_state.empty()) sequence->load(o.load_state);
  const int64_t before = sequence->length();
  const auto prompt = tokenizer.encode(o.prompt, /*add_special_tokens=*/before == 0);
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
  const Made made = make(o, settled(o, *engine, tokenizer), *engine, *sequence, prompt, [&](const NewToken& token) {
    if (first == start) first = Clock::now();
    show(token.text);
    return true;
  });
  const auto end = Clock::now();
  show(std::string_view(made.text).substr(shown_bytes));
  if (first == start) first = end;
  const size_t n = prompt.size(), fresh = made.ids.size();
  if (!o.save_state.empty()) save(o, *engine, *sequence, before + static_cast<int64_t>(n + fresh), made.ids);

  // The first token comes with the prompt; the others take a step each.
  const double prefill = static_cast<double>(n) / seconds_between(start, first);
  const double decode = fresh > 1 ? static_cast<double>(fresh - 1) / seconds_between(first, end) : 0;
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
               made.beams.front().score, seconds_between(start, end));
  }
  if (made.lookup) {
    fmt::print(stderr, "lookup: {} of {} drafted tokens accepted, {} passes\n", made.lookup->accepted,
               made.lookup->drafted, made.lookup->passes);
  }
}

}  // namespace

void add_generate_command(CLI::App& c, int&) {
  auto o = std::make_shared<Options>();
  auto& g = o->generate;
  auto& asked = o->asked;
  c.add_option("model", o->model, "model folder")->required();
  c.add_option("-p,--prompt", o->prompt, "text to continue")->required();
  add_number(c, "-n,--max-new-tokens", g.max_new_tokens, "at most this many", 0);
  add_number(c, "--temperature", asked.temperature, "0: always the likeliest token", 0);
  add_number(c, "--top-k", asked.top_k, "only the k likeliest (0: all)", 0);
  add_number(c, "--top-p", asked.top_p, "only the likeliest with this probability together (1: all)", 0, 1);
  add_number(c, "--min-p", asked.min_p, "only those at least so many times as likely as the likeliest (0: all)", 0, 1);
  add_number(c, "--typical-p", asked.typical_p, "only the most typical with this probability together (1: all)", 0, 1);
  add_number(c, "--repetition-penalty", asked.repetition_penalty,
             "logits of what prompt and text hold are divided by it, those below 0 multiplied (1: none)", 0);
  add_number(c, "--presence-penalty", g.sampler.presence_penalty, "subtracted from logits of what was made", -1e6, 1e6);
  add_number(c, "--frequency-penalty", g.sampler.frequency_penalty, "the same, as many times as it was made", -1e6,
             1e6);
  c.add_option("--logit-bias", o->logit_bias, "ID=VALUE, added to the logit of a token (-inf: never); several times")
      ->allow_extra_args(false);
  c.add_option("--stop", g.stop_strings, "text that ends the output and is not part of it; several times")
      ->allow_extra_args(false);
  add_number(c, "--seed", g.sampler.seed, "of the draws", 0);
  add_number(c, "--num-beams", o->num_beams, "beams of a beam search (1: none)", 1);
  add_number(c, "--length-penalty", o->length_penalty, "beam scores are divided by length to this power (1)", -1e3,
             1e3);
  c.add_option("--early-stopping", o->early_stopping, "of a beam search: true, false or never (false)");
  add_number(c, "--lookup", o->lookup, "draft so many tokens from the text itself and check them in one pass (0: off)",
             0);
  c.add_option("--save-state", o->save_state, "file for the state after the text");
  c.add_option("--load-state", o->load_state, "go on from a saved state: the prompt is appended to its text");
  add_engine_options(c, o->engine);
  c.add_flag("--ignore-eos", g.ignore_eos, "go on after the end of the text");
  c.add_flag("--json", o->json, "print one JSON object at the end");
  c.footer("What options of sampling leave open is taken from the model's generation_config.json.");
  c.callback([o] {
    for (const auto& text : o->logit_bias) o->generate.sampler.logit_bias.push_back(bias_from(text));
    run(*o);
  });
}

}  // namespace jet
