// A conversation with a model: messages, of which only what changed is read again.
//
//   messages --template--> ids:   | read before, in the prefix cache | new | --> reply --> messages
//
// The cache keeps a checkpoint one token before each reply and one after it, so that a next turn reads the new message,
// another try at a reply one token, and what follows an undone turn the turn that takes its place.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "jet/engine/generate.h"
#include "jet/engine/prefix_cache.h"
#include "jet/text/chat_template.h"

namespace jet {

/// A reply's text parted at its thinking, as it comes: "<think>" opens it, "</think>" ends it, and so does the text.
/// White space after either goes.
class ThinkingStream {
 public:
  struct Part {
    std::string thinking{}, answer{};
  };
  /// `inside`: the prompt has opened the thinking.
  explicit ThinkingStream(bool inside = false) : inside_(inside), skips_space_(inside) {}
  Part add(std::string_view text);
  /// What was held back because it might have become a tag.
  Part finish();
  bool inside() const { return inside_; }

 private:
  void take(std::string_view text, Part& part);

  bool inside_, skips_space_;
  bool began_ = false;  // "<think>" opens a text only
  std::string held_;
};

struct ChatReply : Generated {
  std::string thinking{}, answer{};
  int64_t prompt_tokens = 0, read_tokens = 0;   // those that the cache did not have
  double read_seconds = 0, decode_seconds = 0;  // the first token comes with the reading
};

class ChatSession {
 public:
  /// Told of each part of a reply as it comes; false ends the reply.
  using OnPart = std::function<bool(const ThinkingStream::Part& part)>;

  /// Engine and tokenizer must outlive it.
  ChatSession(Engine& engine, const Tokenizer& tokenizer, ChatTemplate chat, int64_t cache_bytes);

  const Json& messages() const { return messages_; }
  /// Throws Error on what is no list of messages.
  void set_messages(Json messages);
  /// The first message, of role system; an empty text removes it.
  void set_system(const std::string& text);
  void add_user(const std::string& text);
  /// Takes off the last message of a user and all after it; the text, or nothing where there is none.
  std::optional<std::string> undo();
  /// Takes off the reply at the end; whether there was one.
  bool drop_reply();
  /// Variables of the template.
  Json& variables() { return variables_; }

  /// Makes the reply to the messages and appends it. Throws Error, with messages as they were, where the template
  /// refuses them or they do not fit the model's context.
  ChatReply reply(const GenerateOptions& options, const OnPart& on_part);
  /// Tokens of the whole conversation so far, as of the last reply.
  int64_t context_used() const { return context_used_; }

 private:
  Engine& engine_;
  const Tokenizer& tokenizer_;
  ChatTemplate chat_;
  PrefixCache cache_;
  Json messages_ = Json::array(), variables_ = Json::object();
  int64_t context_used_ = 0;
};

/// A conversation that asks for a reply, as text and ids, and whether the reply's thinking is open already.
struct ChatPrompt {
  std::string text{};
  std::vector<int32_t> ids{};
  bool thinking = false;
};
/// The input's add_generation_prompt is taken to be set. Throws Error where the template refuses the messages.
ChatPrompt chat_prompt(const ChatTemplate& chat, const Tokenizer& tokenizer, ChatInput input);

}  // namespace jet
