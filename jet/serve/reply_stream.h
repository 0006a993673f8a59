// A chat model's reply, parted as it comes: what it thinks, what it says, the tools that it calls. Calls are written as
// the model's family was taught:
//
//   <tool_call>{"name": "f", "arguments": {...}}</tool_call>                                       Qwen, Granite 4
//   <tool_call><function=f><parameter=p>value</parameter> ...</function></tool_call>               Qwen3.5
//   {"name": "f", "parameters": {...}}                            the whole reply                  Llama 3
//   [{"name": "f", "arguments": {...}}, ...]                      the whole reply                  Mistral, Granite 3
//
// What is not quite any of these stays text: a reply is never lost for a call that is malformed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jet/base/json.h"
#include "jet/engine/chat.h"

namespace jet {

struct ToolCall {
  std::string name{};
  std::string arguments{};  // JSON
};

struct ReplyPart {
  std::string thinking{}, text{};
  std::vector<ToolCall> calls{};
  bool empty() const { return thinking.empty() && text.empty() && calls.empty(); }
};

/// The calls that a whole text is, or none. `tools`: as OpenAI lists them; tags do not tell a number from a text that
/// looks like one, the schemas do.
std::vector<ToolCall> tool_calls_of(std::string_view text, const Json& tools = {});

class ReplyStream {
 public:
  /// `thinking`: the prompt has opened it. `tools`: to call, or null.
  ReplyStream(bool thinking, Json tools) : thinking_(thinking), tools_(std::move(tools)) {}
  ReplyPart add(std::string_view text);
  /// What was held back because it might have become a call.
  ReplyPart finish();

 private:
  void take(std::string_view text, ReplyPart& part);
  bool take_next(ReplyPart& part);
  void release(size_t n, ReplyPart& part);

  ThinkingStream thinking_;
  Json tools_;
  bool began_ = false;
  bool whole_ = false;   // the reply may be one call, and is kept to its end
  bool called_ = false;  // the last thing that was taken is a call
  std::string held_;
};

}  // namespace jet
