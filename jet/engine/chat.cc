#include "jet/engine/chat.h"

#include <algorithm>
#include <utility>

namespace jet {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>", kBlank = " \t\r\n";

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void ThinkingStream::take(std::string_view text, Part& part) {
  if (skips_space_) {
    const size_t begin = std::min(text.find_first_not_of(kBlank), text.size());
    skips_space_ = begin == text.size();
    text.remove_prefix(begin);
  }
  (inside_ ? part.thinking : part.answer) += text;
}

ThinkingStream::Part ThinkingStream::add(std::string_view text) {
  Part part;
  held_ += text;
  while (true) {
    const std::string_view tag = inside_ ? kClose : kOpen;
    const bool may_open = !inside_ && !began_;  // only at the beginning, before anything but white space
    if (!inside_ && !may_open) break;
    const size_t at = held_.find(tag), word = std::min(held_.find_first_not_of(kBlank), held_.size());
    if (at != std::string::npos && (inside_ || at == word)) {
      if (inside_) take(std::string_view(held_).substr(0, at), part);
      held_.erase(0, at + tag.size());
      began_ = began_ || inside_;
      inside_ = !inside_;
      skips_space_ = true;
      continue;
    }
    if (may_open && kOpen.starts_with(std::string_view(held_).substr(word))) return part;  // it may still come
    if (may_open) began_ = true;
    const size_t certain = held_.size() - (inside_ ? unfinished(held_, tag) : 0);
    take(std::string_view(held_).substr(0, certain), part);
    held_.erase(0, certain);
    return part;
  }
  take(held_, part);
  held_.clear();
  return part;
}

ThinkingStream::Part ThinkingStream::finish() {
  Part part;
  take(held_, part);
  held_.clear();
  return part;
}

ChatPrompt chat_prompt(const ChatTemplate& chat, const Tokenizer& tokenizer, ChatInput input) {
  input.add_generation_prompt = true;
  auto rendered = chat.render(input);
  auto ids = encode_chat(tokenizer, rendered);
  const std::string_view text = rendered.text;
  const bool thinking = text.substr(0, text.find_last_not_of(kBlank) + 1).ends_with(kOpen);
  return {std::move(rendered.text), std::move(ids), thinking};
}

ChatSession::ChatSession(Engine& engine, const Tokenizer& tokenizer, ChatTemplate chat, int64_t cache_bytes)
    : engine_(engine), tokenizer_(tokenizer), chat_(std::move(chat)), cache_(engine, cache_bytes) {}

void ChatSession::set_messages(Json messages) {
  prepared_messages(messages);  // throws on what is none
  messages_ = std::move(messages);
}

void ChatSession::set_system(const std::string& text) {
  const bool has_system = !messages_.empty() && messages_[0].value("role", "") == "system";
  if (has_system) messages_.erase(0);
  if (!text.empty()) messages_.insert(messages_.begin(), Json{{"role", "system"}, {"content", text}});
}

void ChatSession::add_user(const std::string& text) { messages_.push_back({{"role", "user"}, {"content", text}}); }

std::optional<std::string> ChatSession::undo() {
  for (size_t n = messages_.size(); n > 0; --n) {
    if (messages_[n - 1].value("role", "") != "user") continue;
    const Json content = messages_[n - 1].value("content", Json(""));
    messages_.erase(messages_.begin() + static_cast<int64_t>(n) - 1, messages_.end());
    return content.is_string() ? content.get<std::string>() : json_text(content);
  }
  return std::nullopt;
}

bool ChatSession::drop_reply() {
  if (messages_.empty() || messages_.back().value("role", "") != "assistant") return false;
  messages_.erase(messages_.size() - 1);
  return true;
}

ChatReply ChatSession::reply(const GenerateOptions& options, const OnPart& on_part) {
  const auto start = std::chrono::steady_clock::now();
  const ChatPrompt prompt = chat_prompt(chat_, tokenizer_, {.messages = messages_, .variables = variables_});
  const auto size = static_cast<int64_t>(prompt.ids.size());
  require(size > 0, "the chat template makes no text of these messages");
  require(size <= engine_.spec().max_position_embeddings,
          "the conversation has {} tokens, the model's context {}: take turns back or begin anew", size,
          engine_.spec().max_position_embeddings);
  ChatReply reply;
  ThinkingStream stream(prompt.thinking);
  const auto show = [&](const ThinkingStream::Part& part) {
    reply.thinking += part.thinking;
    reply.answer += part.answer;
    return !on_part || on_part(part);
  };
  size_t told = 0;
  const auto on_token = [&](const NewToken& token) {
    told += token.text.size();
    return show(stream.add(token.text));
  };
  GenerateOptions with_text = options;
  with_text.tokenizer = &tokenizer_;
  Decoding decoding(engine_, prompt.ids, with_text, on_token, reply);
  auto read = cache_.prefill(prompt.ids);
  reply.prompt_tokens = size;
  reply.read_tokens = read.tokens_run;
  reply.read_seconds = seconds_since(start);
  std::span<const float> logits = read.logits;
  while (!decoding.over()) {
    decoding.advance(logits);
    if (decoding.over()) break;
    Step step{read.sequence.get(), decoding.ids().last(1)};
    engine_.forward({&step, 1});
    logits = step.logits;
  }
  reply.decode_seconds = seconds_since(start) - reply.read_seconds;
  show(stream.add(std::string_view(reply.text).substr(told)));
  show(stream.finish());
  cache_.store(decoding.ids().first(static_cast<size_t>(read.sequence->length())), *read.sequence);
  context_used_ = decoding.size();
  Json message{{"role", "assistant"}, {"content", reply.answer}};
  if (!reply.thinking.empty()) message["reasoning_content"] = reply.thinking;
  messages_.push_back(std::move(message));
  return reply;
}

}  // namespace jet
