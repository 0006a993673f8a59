// Calls of tools, as a form of GrammarCompiler, in the syntax of the model's family; reply_stream.h lists them.
#pragma once

#include "jet/serve/served_model.h"

namespace jet {

/// How a request's calls are bound.
struct ToolChoice {
  enum Kind { none, free, required } kind = none;  // none: no call may come, or no tool is there; free: auto
  Json tools = Json::array();                      // that may be called, as OpenAI lists them
  bool parallel = true;                            // more than one call may come
  bool strict = false;                             // a tool's arguments are to fit its schema though no call is forced
};
/// Of "tools", "tool_choice" and "parallel_tool_calls". Throws ApiError.
ToolChoice tool_choice_of(const Json& body);

/// Calls and nothing else: one or more.
Json calls_form(const ServedModel& model, const ToolChoice& choice);
/// Any text, in which calls fit their schemas; null where the family has no mark that begins one.
Json text_with_calls_form(const ServedModel& model, const ToolChoice& choice);

}  // namespace jet
