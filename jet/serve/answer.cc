#include "jet/serve/answer.h"

#include <chrono>
#include <random>

#include "jet/base/hash.h"
#include "jet/serve/api_error.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

std::string random_id(const char* prefix) {
  std::random_device device;
  return prefix + hash_text(uint64_t{device()} << 32 | device());
}

const char* finish_reason(Finish finish) {
  return finish == Finish::length || finish == Finish::context ? "length" : "stop";
}

Json bytes_json(const std::string& bytes) {
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

}  // namespace

std::string sent_event(const Json& json) { return "data: " + json_text(json) + "\n\n"; }

Answer::Answer(const ServedModel& model, const TextRequest& request)
    : model_(model), request_(request), id_(random_id(request.chat ? "chatcmpl-" : "cmpl-")),
      created_(std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
                   .count()),
      open_(request.choices.size()) {
  for (size_t i = 0; i < request.choices.size(); ++i) {
    choices_.push_back({ThinkingStream(request.thinking)});
    if (request.echo) choices_.back().content = request.prompts[i];
  }
}

Json Answer::head(const char* object) const {
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_.name}};
}

/// What /v1/completions has no place for, reasoning, is part of its text.
ThinkingStream::Part Answer::part_of(Choice& c, const std::string& text) const {
  if (!request_.chat) return {.answer = text};
  return c.stream.add(text);
}

Json Answer::logprob_of(Choice& c, const NewToken& token) const {
  const auto entry = [&](int32_t id, float logprob) {
    const std::string& bytes = model_.tokenizer.bytes_of(id);
    return Json{{"token", repair_utf8(bytes)}, {"logprob", std::max(logprob, -9999.0f)}, {"bytes", bytes_json(bytes)}};
  };
  Json j = entry(token.id, token.logprob);
  j["top_logprobs"] = Json::array();
  for (const auto& [id, logprob] : token.top) j["top_logprobs"].push_back(entry(id, logprob));
  if (!request_.chat) {
    j["text_offset"] = c.offset;
    c.offset += std::ssize(model_.tokenizer.bytes_of(token.id));
  }
  return j;
}

/// As /v1/completions lists them: a list a kind.
Json Answer::completion_logprobs(const Json& tokens) const {
  Json j{{"tokens", Json::array()},
         {"token_logprobs", Json::array()},
         {"top_logprobs", Json::array()},
         {"text_offset", Json::array()}};
  for (const Json& t : tokens) {
    j["tokens"].push_back(t["token"]);
    j["token_logprobs"].push_back(t["logprob"]);
    Json top = Json::object();
    for (const Json& other : t["top_logprobs"]) top[other["token"].get<std::string>()] = other["logprob"];
    j["top_logprobs"].push_back(top);
    j["text_offset"].push_back(t["text_offset"]);
  }
  return j;
}

Json Answer::chunk(int index, Json delta, const Json& logprobs, const Json& finish) const {
  Json j = head(request_.chat ? "chat.completion.chunk" : "text_completion");
  Json choice{{"index", index}};
  if (request_.chat) {
    choice["delta"] = std::move(delta);
  } else {
    choice["text"] = delta.value("content", "");
  }
  choice["logprobs"] = Json();
  if (!logprobs.empty())
    choice["logprobs"] = request_.chat ? Json{{"content", logprobs}} : completion_logprobs(logprobs);
  choice["finish_reason"] = finish;
  j["choices"] = Json::array({choice});
  if (request_.include_usage) j["usage"] = nullptr;
  return j;
}

std::string Answer::add_text(int index, const ThinkingStream::Part& part, const Json& logprobs) {
  Choice& c = choices_[index];
  c.reasoning += part.thinking, c.content += part.answer;
  for (const Json& l : logprobs) c.logprobs.push_back(l);
  if (!request_.stream) return "";
  Json delta = Json::object();
  if (!c.begun && request_.chat) delta["role"] = "assistant";
  if (!part.thinking.empty()) delta["reasoning_content"] = part.thinking;
  if (!part.answer.empty() || !c.begun) delta["content"] = request_.echo && !c.begun ? c.content : part.answer;
  c.begun = true;
  if (delta.empty() && logprobs.empty()) return "";
  return sent_event(chunk(index, std::move(delta), logprobs, nullptr));
}

std::string Answer::event(const ChannelEvent& e) {
  Choice& c = choices_[e.choice];
  if (e.is_end) return end_choice(e.choice, e.outcome);
  Json logprobs = Json::array();
  if (request_.logprobs >= 0) logprobs.push_back(logprob_of(c, e.token));
  return add_text(e.choice, part_of(c, e.token.text), logprobs);
}

std::string Answer::end_choice(int index, const Outcome& outcome) {
  Choice& c = choices_[index];
  c.outcome = outcome;
  --open_;
  auto part = part_of(c, outcome.tail);
  const auto rest = c.stream.finish();
  part.thinking += rest.thinking, part.answer += rest.answer;
  std::string sent = add_text(index, part, Json::array());
  if (!request_.stream) return "";
  if (!outcome.error.empty()) return sent + sent_event(error_json(500, outcome.error));
  return sent + sent_event(chunk(index, Json::object(), Json::array(), finish_reason(outcome.finish)));
}

/// A prompt that has several texts counts once.
Json Answer::usage() const {
  int64_t prompt = 0, made = 0, cached = 0;
  const std::vector<int32_t>* last = nullptr;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const auto& ids = request_.choices[i].prompt;
    made += choices_[i].outcome.made_tokens;
    if (!last || *last != ids) prompt += std::ssize(ids), cached += choices_[i].outcome.cached_tokens;
    last = &ids;
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", made},
          {"total_tokens", prompt + made},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

/// Of the first text.
Json Answer::timings() const {
  const Outcome& o = choices_.front().outcome;
  const double made = static_cast<double>(o.made_tokens - 1),
               read = static_cast<double>(o.prompt_tokens - o.cached_tokens);
  const auto rate = [](double n, double seconds) { return n > 0 && seconds > 0 ? n / seconds : 0; };
  return {{"queue_ms", 1e3 * o.queue_seconds},
          {"cache_n", o.cached_tokens},
          {"prompt_n", o.prompt_tokens - o.cached_tokens},
          {"prompt_ms", 1e3 * o.read_seconds},
          {"prompt_per_second", rate(read, o.read_seconds)},
          {"predicted_n", o.made_tokens},
          {"predicted_ms", 1e3 * o.decode_seconds},
          {"predicted_per_second", rate(made, o.decode_seconds)}};
}

std::string Answer::last_events() const {
  std::string sent;
  if (request_.include_usage) {
    Json j = head(request_.chat ? "chat.completion.chunk" : "text_completion");
    j["choices"] = Json::array();
    j["usage"] = usage();
    j["timings"] = timings();
    sent = sent_event(j);
  }
  return sent + "data: [DONE]\n\n";
}

Json Answer::choice_json(int index) const {
  const Choice& c = choices_[index];
  Json j{{"index", index}};
  if (request_.chat) {
    j["message"] = {{"role", "assistant"}, {"content", c.content}};
    if (!c.reasoning.empty()) j["message"]["reasoning_content"] = c.reasoning;
  } else {
    j["text"] = c.content;
  }
  j["logprobs"] = Json();
  if (request_.logprobs >= 0)
    j["logprobs"] = request_.chat ? Json{{"content", c.logprobs}} : completion_logprobs(c.logprobs);
  j["finish_reason"] = finish_reason(c.outcome.finish);
  return j;
}

Json Answer::whole() const {
  Json j = head(request_.chat ? "chat.completion" : "text_completion");
  j["choices"] = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (!choices_[i].outcome.error.empty()) throw ApiError(500, choices_[i].outcome.error);
    j["choices"].push_back(choice_json(static_cast<int>(i)));
  }
  j["usage"] = usage();
  j["timings"] = timings();
  return j;
}

}  // namespace jet
