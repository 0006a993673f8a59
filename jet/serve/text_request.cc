#include "jet/serve/text_request.h"

#include <algorithm>
#include <random>

#include "jet/engine/chat.h"
#include "jet/engine/sampling_json.h"
#include "jet/serve/api_error.h"
#include "jet/serve/reply_form.h"

namespace jet {
namespace {

constexpr int kMostTopLogprobs = 20;
constexpr size_t kMostStopBytes = 1024;

GenerateOptions options_of(const ServedModel& model, const Json& body, int logprobs) {
  GenerateOptions g{.max_new_tokens = model.most_new_tokens, .tokenizer = &model.tokenizer};
  g.sampler.seed = uint64_t{std::random_device{}()};
  SamplingSettings asked;
  try {
    read_sampling(body, "request", g, asked);
  } catch (const Error& e) { throw ApiError(400, e.what()); }
  if (std::ssize(g.stop_strings) > model.most_stop_strings) {
    throw ApiError(400,
                   fmt::format("request: {} stop strings, at most {}", g.stop_strings.size(), model.most_stop_strings));
  }
  for (const auto& s : g.stop_strings)
    if (s.size() > kMostStopBytes)
      throw ApiError(400, fmt::format("request: a stop string of {} bytes, at most {}", s.size(), kMostStopBytes));
  g.max_new_tokens = std::min(g.max_new_tokens, static_cast<int>(model.engine.spec().max_position_embeddings));
  g.sampler.top_logprobs = logprobs;
  g.sampler = with_settings(g.sampler, asked, model.engine.generation().sampling);
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
  if (n < 1 || n > model.most_choices / std::ssize(prompts))
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

}  // namespace

std::vector<int32_t> ids_from(const ServedModel& model, const Json& list, const char* key) {
  if (!fits<std::vector<int32_t>>(list))
    throw ApiError(400, fmt::format("request: in '{}', a text's tokens are a list of whole numbers", key));
  auto ids = list.get<std::vector<int32_t>>();
  const int vocabulary = model.engine.spec().vocab_size;
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocabulary) {
      throw ApiError(
          400, fmt::format("request: '{}' has token {}, which is outside the vocabulary of {}", key, id, vocabulary));
    }
  }
  return ids;
}

std::vector<ServedPrompt> prompts_of(const ServedModel& model, const Json& body, const char* key, int64_t most) {
  if (!has(body, key)) throw ApiError(400, fmt::format("request: key '{}' is missing", key));
  const auto of_text = [&](const std::string& text) {
    return ServedPrompt{{text, model.tokenizer.encode(text, /*add_special_tokens=*/true)}, {}};
  };
  const auto of_ids = [&](const Json& list) {
    auto ids = ids_from(model, list, key);
    return ServedPrompt{{model.tokenizer.decode(ids), std::move(ids)}, {}};
  };
  const Json& input = body[key];
  if (input.is_string()) return {of_text(input.get<std::string>())};
  if (!input.is_array() || input.empty())
    throw ApiError(400, fmt::format("request: '{}' is neither text nor a list of texts or tokens", key));
  if (input[0].is_number()) return {of_ids(input)};
  if (std::ssize(input) > most)
    throw ApiError(400, fmt::format("request: '{}' has {} texts, at most {}", key, input.size(), most));
  std::vector<ServedPrompt> prompts;
  for (const Json& p : input) {
    if (p.is_string()) {
      prompts.push_back(of_text(p.get<std::string>()));
    } else {
      prompts.push_back(of_ids(p));
    }
  }
  return prompts;
}

TextRequest read_chat_request(const ServedModel& model, const Json& body) {
  refuse_what_is_not_there(body);
  TextRequest r;
  read_stream(body, r);
  if (field(body, "logprobs", false))
    r.logprobs = check_logprobs(field<int64_t>(body, "top_logprobs", 0), "top_logprobs");
  const ServedPrompt prompt = chat_prompt_of(model, body);
  r.thinking = prompt.thinking, r.tools = prompt.tools;
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
  add_choices(model, body, prompts_of(model, body, "prompt", model.most_choices), options, r);
  return r;
}

}  // namespace jet
