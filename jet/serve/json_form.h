// A value that fits a JSON schema, as a form of GrammarCompiler.
#pragma once

#include "jet/base/json.h"

namespace jet {

/// White space between tokens of JSON is bounded: a model at a high temperature, or a weak one, would never leave it.
inline Json json_form(const Json& schema) {
  return {{"type", "json_schema"}, {"json_schema", schema}, {"max_whitespace_cnt", 32}};
}

}  // namespace jet
