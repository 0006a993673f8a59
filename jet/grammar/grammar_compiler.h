// Grammars of texts, by xgrammar (Apache-2.0): what may be written token by token, from a description of it.
//
//   form   {"type": "json_schema", "json_schema": {...}}      {"type": "regex", "pattern": "..."}
//          {"type": "grammar", "grammar": "root ::= ..."}     {"type": "const_string", "value": "..."}
//          {"type": "sequence" | "or", "elements": [form, ...]}   {"type": "optional", "content": form}
//          {"type": "tag", "begin": "...", "content": form, "end": "..."}     {"type": "any_text"}
//          and what else xgrammar knows as formats of structural tags
//
// A grammar sees the text that a Decoding makes: special tokens are no part of it. What xgrammar would pass over with a
// warning (a keyword of a schema that it does not know) is an error here: what is made is always what was asked for.
//
// Forms come from strangers and may be made to take for ever. So each is compiled first in a child process with limits
// on time and memory, and here only if that ended well. Nothing is known before: rules that look harmless can need
// exponentially many states.
#pragma once

#include <memory>
#include <span>

#include "jet/base/json.h"
#include "jet/engine/token_grammar.h"
#include "jet/text/tokenizer.h"

namespace jet {

struct GrammarLimits {
  size_t most_form_bytes = size_t{256} << 10;
  int compile_seconds = 5;                        // of processor time
  int64_t compile_bytes = int64_t{1} << 30;       // beside what the program has
  int64_t cache_bytes = int64_t{256} << 20;       // for compiled grammars
  double free_seconds = 5, token_seconds = 1e-2;  // a text's masks may take so long, and so long more a token
};

/// Thrown where others have their grammars compiled for so long that this one would have to wait too long.
class GrammarBusy : public Error {
 public:
  using Error::Error;
};

/// Its members may be called from several threads at once.
class GrammarCompiler {
 public:
  /// Whether the program was built with xgrammar; compile() throws where not.
  static bool is_built_in();

  /// `vocab`: logits of the model; `ends`: the ids that end its texts. The tokenizer must outlive it.
  GrammarCompiler(const Tokenizer& tokenizer, int64_t vocab, std::span<const int> ends,
                  const GrammarLimits& limits = {});
  ~GrammarCompiler();

  /// Compiled, or taken from the cache. Throws Error on a form that is none, takes more than the limits allow, or asks
  /// for what cannot be kept to; GrammarBusy.
  std::shared_ptr<const TokenGrammar> compile(const Json& form);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jet
