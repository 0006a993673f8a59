// Tokens to a tree.
//
//   body       ( DATA | "{{" tuple "}}" | "{%" statement "%}" )*
//
//   statement  "if" tuple body ("elif" tuple body)* ("else" body)? "endif"
//            | "for" target "in" tuple ("if" expr)? "recursive"? body ("else" body)? "endfor" | "break" | "continue"
//            | "set" target "=" tuple | "set" target ("|" filters)? body "endset"
//            | "macro" NAME params body "endmacro" | "call" params? expr body "endcall"
//            | "filter" filters body "endfilter" | "with" (target "=" expr),* body "endwith"
//            | "generation" body "endgeneration" | "block" NAME body "endblock" | "print" tuple
//            | ("include" | "import" | "from" | "extends") ...                     an error where it is run
//   target     NAME | NAME "." NAME | target ("," target)+ | "(" target ")"
//   params     "(" (NAME ("=" expr)?),* ")"
//
//   tuple      expr ("," expr)*
//   expr       or ("if" or ("else" expr)?)*
//   or         and ("or" and)*
//   and        not ("and" not)*
//   not        "not" not | compare
//   compare    sum (("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not" "in") sum)*
//   sum        concat (("+" | "-") concat)*
//   concat     product ("~" product)*
//   product    power (("*" | "/" | "//" | "%") power)*
//   power      unary ("**" unary)*
//   unary      ("-" | "+") unary-without-filters filters* | primary postfix* filters*
//   postfix    "." NAME | "." INTEGER | "[" (expr | slice) "]" | "(" arguments ")"
//   filters    "|" NAME.. arguments? | "is" "not"? NAME.. (primary postfix* | arguments)?
//   primary    NAME | TEXT+ | NUMBER | "(" tuple ")" | "[" exprs "]" | "{" (expr ":" expr),* "}"
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jet/text/jinja/lexer.h"

namespace jet::jinja {

enum class Kind {
  // statements: what `kids` are
  body,
  data,
  print,
  if_else,   // condition, body, else
  for_loop,  // target, list, condition, body, else
  set,
  set_block,  // target, value; target, filters, body
  macro,
  call_block,  // body, defaults...; call, body, defaults...
  filter_block,
  with,  // filters, body; body, targets and values by turns
  break_loop,
  continue_loop,
  load,
  // expressions
  constant,
  name,
  list,
  tuple,
  dict,
  negative,
  positive,
  binary,
  both,
  either,
  negation,
  compare,
  concat,
  choice,
  attribute,
  item,
  slice,
  call,
  filter,
  test,
  given  // given: what a block hands to its filters
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

struct Node {
  Kind kind;
  int line;
  std::string word{};                // name, attribute, operator
  std::vector<std::string> words{};  // operators of a compare, names of parameters and of named arguments
  std::vector<NodePtr> kids{};       // null where optional and absent
  Value value{};
  bool flag = false;                                                                   // recursive loop, negated test
  bool takes_more_positional = false, takes_more_named = false, takes_caller = false;  // of a macro
};

/// Throws TemplateError.
NodePtr parse(std::vector<Token> tokens, const std::string& where);

}  // namespace jet::jinja
