#include "jet/serve/text_request.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

#include "jet/engine/chat.h"
#include "jet/serve/api_error.h"
#include "jet/serve/reply_form.h"

namespace jet {
namespace {

constexpr int kMostTopLogprobs = 20;
constexpr size_t kMostStopBytes = 1024;

/// Reads fields as the JSON helpers do, whose errors become the client's.
template <class T>
T field(const Json& body, const char* key, T fallback) {
  try {
    return get_or(body, key, std::move(fallback), "request");
  } catch (const Error& e) { throw ApiError(400, e.what()); }
}

bool has(const Json& body, const char* key) { return body.contains(key) && !body[key].is_null(); }

template <class T>
void ask(const Json& body, const char* key, std::optional<T>& setting) {
  if (has(body, key)) setting = field<T>(body, key, T{});
}

SamplingSettings settings_of(const Json& body) {
  SamplingSettings s;
  ask(body, "temperature", s.temperature);
  ask(body, "top_k", s.top_k);
  ask(body, "top_p", s.top_p);
  ask(body, "min_p", s.min_p);
  ask(body, "typical_p", s.typical_p);
  ask(body, "repeat_penalty", s.repetition_penalty);
  ask(body, "repetition_penalty", s.repetition_penalty);
  if (s.top_k && *s.top_k < 0) s.top_k = 0;  // as vLLM and llama.cpp write "all"
  return s;
}

std::vector<std::pair<int32_t, float>> logit_bias_of(const Json& body) {
  std::vector<std::pair<int32_t, float>> bias;
  if (!has(body, "logit_bias")) return bias;
  if (!body["logit_bias"].is_object()) throw ApiError(400, "request: 'logit_bias' is no object of ids");
  for (const auto& [id, value] : body["logit_bias"].items()) {
    int32_t token = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), token);
    if (error != std::errc() || end != id.data() + id.size() || !value.is_number())
      throw ApiError(400, "request: 'logit_bias' is {\"id\": number}");
    const auto b = value.get<float>();
    bias.emplace_back(token, b <= -100 ? -INFINITY : b);  // as OpenAI: -100 bans
  }
  return bias;
}

std::vector<std::string> stop_strings_of(const ServedModel& model, const Json& body) {
  if (!has(body, "stop")) return {};
  std::vector<std::string> stops;
  if (body["stop"].is_string()) {
    stops = {body["stop"].get<std::string>()};
  } else {
    stops = field<std::vector<std::string>>(body, "stop", {});
  }
  if (std::ssize(stops) > model.most_stop_strings)
    throw ApiError(400, fmt::format("request: {} stop strings, at most {}", stops.size(), model.most_stop_strings));
  for (const auto& s : stops)
    if (s.empty() || s.size() > kMostStopBytes)
      throw ApiError(400, fmt::format("request: a stop string has 1 to {} bytes", kMostStopBytes));
  return stops;
}

int most_new_tokens(const ServedModel& model, const Json& body) {
  const char* key = has(body, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
  const auto most = field<int64_t>(body, key, model.most_new_tokens);
  if (most < 0) throw ApiError(400, fmt::format("request: '{}' is {}, below 0", key, most));
  return static_cast<int>(std::min<int64_t>(most, model.engine.spec().max_position_embeddings));
}

GenerateOptions options_of(const ServedModel& model, const Json& body, int logprobs) {
  GenerateOptions g;
  g.max_new_tokens = most_new_tokens(model, body);
  g.ignore_eos = field(body, "ignore_eos", false);
  g.tokenizer = &model.tokenizer;
  g.stop_strings = stop_strings_of(model, body);
  g.sampler.presence_penalty = field(body, "presence_penalty", 0.0f);
  g.sampler.frequency_penalty = field(body, "frequency_penalty", 0.0f);
  g.sampler.logit_bias = logit_bias_of(body);
  g.sampler.top_logprobs = logprobs;
  g.sampler.seed = has(body, "seed") ? static_cast<uint64_t>(field<int64_t>(body, "seed", 0)) : std::random_device{}();
  g.sampler = with_settings(g.sampler, settings_of(body), model.engine.generation().sampling);
  return g;
}

void refuse_what_is_not_there(const Json& body) {
  for (const char* key : {"suffix", "audio"})
    if (has(body, key)) throw ApiError(400, fmt::format("request: '{}' is not supported", key));
  const int64_t n = field<int64_t>(body, "n", 1);
  if (has(body, "best_of") && field<int64_t>(body, "best_of", n) != n)
    throw ApiError(400, "request: 'best_of' other than n is not supported");
}

/// n texts of each prompt, with seeds of their own.
void add_choices(const ServedModel& model, const Json& body, const std::vector<ServedPrompt>& prompts,
                 const GenerateOptions& options, TextRequest& request) {
  const auto n = field<int64_t>(body, "n", 1);
  if (n < 1 || n * std::ssize(prompts) > model.most_choices)
    throw ApiError(400, fmt::format("request: n = {} of {} prompts, at most {} texts in all", n, prompts.size(),
                                    model.most_choices));
  const int64_t context = model.engine.spec().max_position_embeddings;
  for (const auto& prompt : prompts) {
    if (prompt.ids.empty()) throw ApiError(400, "request: the prompt is empty");
    if (std::ssize(prompt.ids) > context) {
      throw ApiError(400,
                     fmt::format("this model's context is {} tokens, the prompt has {}", context, prompt.ids.size()),
                     "context_length_exceeded");
    }
    for (int64_t i = 0; i < n; ++i) {
      request.choices.push_back({.prompt = prompt.ids, .options = options, .marks = prompt.marks});
      request.choices.back().options.sampler.seed += static_cast<uint64_t>(i);
      request.prompts.push_back(prompt.text);
    }
  }
}

void read_stream(const Json& body, TextRequest& request) {
  request.stream = field(body, "stream", false);
  if (has(body, "stream_options")) request.include_usage = field(body["stream_options"], "include_usage", false);
}

int check_logprobs(int64_t n, const char* key) {
  if (n < 0 || n > kMostTopLogprobs)
    throw ApiError(400, fmt::format("request: '{}' is {}, at most {}", key, n, kMostTopLogprobs));
  return static_cast<int>(n);
}

std::vector<ServedPrompt> prompts_of(const ServedModel& model, const Json& body) {
  if (!has(body, "prompt")) throw ApiError(400, "request: key 'prompt' is missing");
  const auto of_text = [&](const std::string& text) {
    return ServedPrompt{{text, model.tokenizer.encode(text, /*add_special_tokens=*/true)}, {}};
  };
  const auto of_ids = [&](const Json& list) {
    if (!fits<std::vector<int32_t>>(list))
      throw ApiError(400, "request: a prompt of tokens is a list of whole numbers");
    auto ids = list.get<std::vector<int32_t>>();
    return ServedPrompt{{model.tokenizer.decode(ids), std::move(ids)}, {}};
  };
  const Json& prompt = body["prompt"];
  if (prompt.is_string()) return {of_text(prompt.get<std::string>())};
  if (!prompt.is_array() || prompt.empty()) throw ApiError(400, "request: 'prompt' is neither text nor a list");
  if (prompt[0].is_number()) return {of_ids(prompt)};
  std::vector<ServedPrompt> prompts;
  for (const Json& p : prompt) {
    if (p.is_string()) {
      prompts.push_back(of_text(p.get<std::string>()));
    } else {
      prompts.push_back(of_ids(p));
    }
  }
  return prompts;
}

}  // namespace

TextRequest read_chat_request(const ServedModel& model, const Json& body) {
  refuse_what_is_not_there(body);
  TextRequest r;
  r.tools = has(body, "tools") && !body["tools"].empty() && body.value("tool_choice", Json()) != "none";
  read_stream(body, r);
  if (field(body, "logprobs", false))
    r.logprobs = check_logprobs(field<int64_t>(body, "top_logprobs", 0), "top_logprobs");
  const ServedPrompt prompt = chat_prompt_of(model, body);
  r.thinking = prompt.thinking;
  GenerateOptions options = options_of(model, body, r.logprobs);
  options.sampler.grammar = reply_grammar(model, body, &prompt);
  add_choices(model, body, {prompt}, options, r);
  return r;
}

TextRequest read_completion_request(const ServedModel& model, const Json& body) {
  refuse_what_is_not_there(body);
  TextRequest r{.api = TextRequest::completions};
  read_stream(body, r);
  r.echo = field(body, "echo", false);
  if (has(body, "logprobs")) r.logprobs = check_logprobs(field<int64_t>(body, "logprobs", 0), "logprobs");
  GenerateOptions options = options_of(model, body, r.logprobs);
  options.sampler.grammar = reply_grammar(model, body, nullptr);
  add_choices(model, body, prompts_of(model, body), options, r);
  return r;
}

}  // namespace jet
