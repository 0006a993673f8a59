#include "jet/cli/sampling_options.h"

#include <algorithm>
#include <charconv>

#include "jet/cli/options.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

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

void add_numbers(CLI::App& c, SamplingArguments& arguments) {
  auto& [g, asked, unused] = arguments;
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
  add_number(c, "--seed", g.sampler.seed, "of the draws", 0);
}

}  // namespace

void SamplingArguments::check() {
  generate.sampler.logit_bias.clear();
  for (const auto& text : logit_bias) generate.sampler.logit_bias.push_back(bias_from(text));
  check_sampler(with_settings(generate.sampler, asked, {}));
  const TextStream checked(generate.stop_strings);
}

GenerateOptions SamplingArguments::settled(const Engine& engine, const Tokenizer& tokenizer) const {
  const GenerationConfig& model = engine.generation();
  check_sampler(with_settings({}, {}, model.sampling), model.path);
  GenerateOptions g = generate;
  g.sampler = with_settings(g.sampler, asked, model.sampling);
  g.tokenizer = &tokenizer;
  return g;
}

void add_sampling_options(CLI::App& c, SamplingArguments& arguments) {
  add_numbers(c, arguments);
  c.add_option("--logit-bias", arguments.logit_bias,
               "ID=VALUE, added to the logit of a token (-inf: never); several times")
      ->allow_extra_args(false);
  c.add_option("--stop", arguments.generate.stop_strings,
               "text that ends the output and is not part of it; several times")
      ->allow_extra_args(false);
}

void set_sampling(SamplingArguments& arguments, const std::string& name, const std::string& value) {
  SamplingArguments changed = arguments;
  CLI::App app;
  app.set_help_flag();
  add_numbers(app, changed);
  try {
    app.parse(std::vector<std::string>{"--" + name + "=" + value});
  } catch (const CLI::ParseError&) {
    fail(
        "there is no setting {} {}: temperature, top-k, top-p, min-p, typical-p, repetition-penalty, presence-penalty, "
        "frequency-penalty, seed, max-new-tokens",
        shown(name), shown(value));
  }
  changed.check();
  arguments = changed;
}

std::string sampling_text(const GenerateOptions& g) {
  const SamplerOptions& s = g.sampler;
  return fmt::format(
      "temperature {}, top-k {}, top-p {}, min-p {}, typical-p {}, repetition-penalty {}, presence-penalty {}, "
      "frequency-penalty {}, seed {}, max-new-tokens {}",
      s.temperature, s.top_k, s.top_p, s.min_p, s.typical_p, s.repetition_penalty, s.presence_penalty,
      s.frequency_penalty, s.seed, g.max_new_tokens);
}

}  // namespace jet
