// What form a client wants its texts to have, as a form of GrammarCompiler:
//
//   OpenAI      response_format     {"type": "text" | "json_object" | "json_schema": {"schema"} | "structural_tag"}
//               tool_choice         "required" | {"type": "function", "function": {"name"}}: calls, as the model's
//                                   family writes them; with "auto" the arguments of tools that are "strict"
//   vLLM        structured_outputs  {"json" | "regex" | "grammar" | "choice" | "structural_tag"}, and guided_json,
//                                   guided_regex, guided_grammar, guided_choice
//   llama.cpp   json_schema, grammar (GBNF)
//
// One of them at most says what the text is; where tools may be called, it is that or a call. A reply's thinking comes
// before it and is free, but for its length where "thinking_budget" (tokens) bounds that.
#pragma once

#include <memory>

#include "jet/engine/token_grammar.h"
#include "jet/serve/text_request.h"

namespace jet {

/// The form that `body` asks for; null where any text will do. `prompt`: of a chat, else null. Throws ApiError.
Json reply_form(const ServedModel& model, const Json& body, const ServedPrompt* prompt);

/// The same, compiled; null where any text will do. Throws ApiError.
std::shared_ptr<const TokenGrammar> reply_grammar(const ServedModel& model, const Json& body,
                                                  const ServedPrompt* prompt);

}  // namespace jet
