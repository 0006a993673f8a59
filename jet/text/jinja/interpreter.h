// Runs a template's tree. Every node and every value that is worked through takes steps from one budget, calls nest to
// a bound, and so do values (value.h): whatever a template is, it ends.
//
// A scope is made by the body of a loop, macro, call, with, block and of blocks that are filtered or set; `if` makes
// none. What is set in one is gone after it. Macros and recursive loops keep the scopes that they stand in.
#pragma once

#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jet/text/jinja/jinja.h"
#include "jet/text/jinja/parser.h"

namespace jet::jinja {

struct Scope {
  Scope* parent = nullptr;
  std::map<std::string, Value> values{};
  bool kept = false;  // a macro or loop may come back to it
};

struct LoopState {
  Values items;
  size_t at = 0;
  int depth = 1;
  std::optional<Values> last_changed{};
};

/// What raise_exception() throws.
class Raised : public Error {
 public:
  using Error::Error;
};

enum class Flow { on, break_loop, continue_loop };

class Interpreter {
 public:
  Interpreter(const Environment& environment, const Variables& variables);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Text run(const Node& body);
  int line() const { return line_; }

  // For filters, tests and functions.
  void charge(int64_t steps);
  Value attribute(const Value& v, const std::string& name);
  Value item(const Value& v, const Value& key);
  /// By "a.b.0", as filters name what they look at.
  Value path(const Value& v, const Value& dotted);
  Value call(const Value& f, const Arguments& arguments);
  Value filter(const std::string& name, const Value& input, const Arguments& arguments);
  bool test(const std::string& name, const Value& input, const Arguments& arguments);
  Namespace* make_space();
  std::tm time() const;

 private:
  struct Within;
  struct InScope;
  // statements.cc
  Flow execute(const Node& n);
  Flow execute_body(const Node& n);
  Flow execute_in_scope(const Node* n);
  Flow if_else(const Node& n);
  Flow run_loop(const Node& n, const Value& list, int depth);
  Value loop_object(const Node& n, LoopState* state);
  void with(const Node& n);
  void set_block(const Node& n);
  void call_block(const Node& n);
  void assign(const Node& target, Value value);
  void output(Text text);
  Text text_of(const Node& body);
  Value macro(const Node& n, size_t body);
  void bind(const Node& n, size_t body, const Arguments& a);
  // interpreter.cc
  Value evaluate(const Node& n);
  Value evaluate_kind(const Node& n);
  Value name(const std::string& word) const;
  Value list(const Node& n);
  Value dict(const Node& n);
  bool compare(const Node& n);
  Value concat(const Node& n);
  Value slice(const Node& n);
  Arguments arguments(const Node& n);
  Value filtered(const Node& filters, Text text);

  const Environment& environment_;
  Scope root_;
  Scope* scope_ = &root_;
  std::deque<std::unique_ptr<Scope>> kept_scopes_;
  std::deque<std::unique_ptr<LoopState>> loops_;
  std::deque<std::unique_ptr<Namespace>> spaces_;
  Text out_;
  Value given_;
  int64_t steps_ = 0;
  int depth_ = 0, line_ = 1;
};

/// A call's arguments by parameter.
class Given {
 public:
  /// Throws Error on an argument too many or of no known name.
  Given(const std::string& what, const Arguments& a, std::initializer_list<const char*> parameters);
  bool has(size_t i) const { return values_[i].has_value(); }
  const Value& operator[](size_t i) const;
  bool truth(size_t i, bool fallback) const { return has(i) ? jinja::truth(*values_[i]) : fallback; }
  int64_t integer(size_t i, int64_t fallback) const;
  Text text(size_t i, const Text& fallback) const { return has(i) ? str(*values_[i]) : fallback; }

 private:
  std::vector<std::optional<Value>> values_;
};

/// What is iterated over. Throws Error on what cannot be.
Values items_of(const Value& v);
/// Throws Error where v is undefined.
const Value& used(const Value& v);
Value undefined(std::string why);
Value binary(const std::string& op, const Value& a, const Value& b);
bool contains(const Value& whole, const Value& part);
/// Python's slices, of texts, lists and tuples.
Value sliced(const Value& v, const Value& begin, const Value& end, const Value& step);
/// Nothing where the type has no such method.
std::optional<Value> method(const Value& v, const std::string& name);
/// "%s" % and str.format.
Text percent_format(const Text& format, const Value& arguments);
Text brace_format(const Text& format, const Arguments& arguments);
void add_globals(Scope& scope, Interpreter& in);
bool has_filter(const std::string& name);
bool has_test(const std::string& name);

using Filter = Value (*)(Interpreter& in, const Value& input, const Arguments& a);
/// Null where there is none of that name.
Filter text_filter(const std::string& name);
Filter list_filter(const std::string& name);

}  // namespace jet::jinja
