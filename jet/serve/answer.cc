#include "jet/serve/answer.h"

#include <algorithm>
#include <random>
#include <utility>

#include "jet/base/hash.h"
#include "jet/serve/api_error.h"
#include "jet/text/utf8.h"

namespace jet {

std::string sent_event(const Json& json, const char* name) {
  return (name ? fmt::format("event: {}\n", name) : "") + "data: " + json_text(json) + "\n\n";
}

std::string random_id(const char* prefix) {
  std::random_device device;
  return prefix + hash_text(uint64_t{device()} << 32 | device());
}

Answer::Answer(const ServedModel& model, const TextRequest& request)
    : model_(model), request_(request), created_(now_in_seconds()), open_(request.choices.size()) {
  for (size_t i = 0; i < request.choices.size(); ++i) {
    choices_.push_back({ReplyStream(request.thinking, request.tools)});
    if (request.echo) choices_.back().echo = request.prompts[i];
  }
}

std::string Answer::take(int index, ReplyPart part, const NewToken* token) {
  Choice& c = choices_[index];
  if (token && request_.logprobs >= 0) c.tokens.push_back(*token);
  part.text.insert(0, std::exchange(c.echo, ""));
  c.thinking += part.thinking, c.text += part.text;
  c.thinking_tokens += token && !part.thinking.empty() && part.text.empty();
  c.calls.insert(c.calls.end(), part.calls.begin(), part.calls.end());
  return request_.stream ? send_part(index, part, token) : "";
}

/// /v1/completions has no place for thinking and calls: they are part of its text.
std::string Answer::event(const ChannelEvent& e) {
  Choice& c = choices_[e.choice];
  const auto part_of = [&](const std::string& text) {
    return request_.api == TextRequest::completions ? ReplyPart{.text = text} : c.stream.add(text);
  };
  if (!e.is_end) return take(e.choice, part_of(e.token.text), &e.token);
  c.outcome = e.outcome;
  --open_;
  std::string sent = take(e.choice, part_of(e.outcome.tail), nullptr);
  sent += take(e.choice, c.stream.finish(), nullptr);
  if (!request_.stream) return "";
  if (!e.outcome.error.empty()) return sent + send_error(e.outcome.error);
  return sent + send_end(e.choice);
}

std::string Answer::send_error(const std::string& message) { return sent_event(error_json(500, message)); }

Json Answer::whole() const {
  for (const Choice& c : choices_)
    if (!c.outcome.error.empty()) throw ApiError(500, c.outcome.error);
  return whole_json();
}

/// A prompt that has several texts counts once.
Answer::Usage Answer::usage() const {
  Usage u;
  const std::vector<int32_t>* last = nullptr;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const auto& ids = request_.choices[i].prompt;
    u.made += choices_[i].outcome.made_tokens, u.thinking += choices_[i].thinking_tokens;
    if (!last || *last != ids) u.prompt += std::ssize(ids), u.cached += choices_[i].outcome.cached_tokens;
    last = &ids;
  }
  return u;
}

Json Answer::logprobs_of(std::span<const NewToken> tokens) const {
  const auto entry = [&](int32_t id, float logprob) {
    const std::string& bytes = model_.tokenizer.bytes_of(id);
    Json numbers = Json::array();
    for (const char c : bytes) numbers.push_back(static_cast<unsigned char>(c));
    return Json{{"token", repair_utf8(bytes)}, {"logprob", std::max(logprob, -9999.0f)}, {"bytes", numbers}};
  };
  Json list = Json::array();
  for (const NewToken& token : tokens) {
    Json top = Json::array();
    for (const auto& [id, logprob] : token.top) top.push_back(entry(id, logprob));
    list.push_back(entry(token.id, token.logprob));
    list.back()["top_logprobs"] = std::move(top);
  }
  return list;
}

std::unique_ptr<Answer> make_answer(const ServedModel& model, const TextRequest& request) {
  switch (request.api) {
    case TextRequest::messages: return make_messages_answer(model, request);
    case TextRequest::responses: return make_responses_answer(model, request);
    default: return make_openai_answer(model, request);
  }
}

}  // namespace jet
