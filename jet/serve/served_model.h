// The model that is served, as requests see it: names, tokens, templates, grammars and limits. Any number of clients'
// threads may use it at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "jet/base/clock.h"
#include "jet/engine/engine.h"
#include "jet/grammar/grammar_compiler.h"
#include "jet/text/chat_template.h"
#include "jet/text/tokenizer.h"

namespace jet {

struct ServedModel {
  std::string name, version;
  const Engine& engine;
  const Tokenizer& tokenizer;
  std::optional<ChatTemplate> chat{};
  std::shared_ptr<GrammarCompiler> grammars{};  // null: texts are free
  int64_t created = 0;                          // seconds of the epoch
  int most_new_tokens = 4096;                   // where a request does not say
  int most_choices = 16;                        // n
  int most_stop_strings = 16;
  double most_seconds = 600;  // of a request
};

/// Of config.json and the weights of a model folder, read as a whole: 16 digits.
std::string model_files_hash(const std::string& folder);

/// GET /props: what the model is and what its conversations take.
Json props_json(const ServedModel& model);

}  // namespace jet
