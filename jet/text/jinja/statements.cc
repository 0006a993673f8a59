// The interpreter's statements, macros and loops; and Template, which runs it.
#include <algorithm>

#include "jet/text/jinja/interpreter.h"
#include "jet/text/utf8.h"

namespace jet::jinja {

struct Interpreter::InScope {
  explicit InScope(Interpreter& i, Scope* parent = nullptr) : in(i), outer(i.scope_), scope(std::make_unique<Scope>()) {
    scope->parent = parent ? parent : outer;
    in.scope_ = scope.get();
  }
  ~InScope() {
    in.scope_ = outer;
    if (scope->kept) in.kept_scopes_.push_back(std::move(scope));
  }
  Interpreter& in;
  Scope* outer;
  std::unique_ptr<Scope> scope;
};

Text Interpreter::run(const Node& body) {
  execute_body(body);
  return std::move(out_);
}

void Interpreter::output(Text text) {
  charge(static_cast<int64_t>(text.size()) / 32);
  out_ += text;
  require(static_cast<int64_t>(out_.size()) <= environment_.most_output, "more than {} characters of text",
          environment_.most_output);
}

/// What `body` puts out, in a scope of its own.
Text Interpreter::text_of(const Node& body) {
  Text outer = std::exchange(out_, {});
  execute_in_scope(&body);
  return std::exchange(out_, std::move(outer));
}

Flow Interpreter::execute_body(const Node& n) {
  for (const auto& kid : n.kids) {
    const Flow flow = execute(*kid);
    if (flow != Flow::on) return flow;
  }
  return Flow::on;
}

Flow Interpreter::execute_in_scope(const Node* n) {
  if (!n) return Flow::on;
  const InScope inside(*this);
  return execute_body(*n);
}

Flow Interpreter::execute(const Node& n) {
  line_ = n.line;
  charge(1);
  switch (n.kind) {
    case Kind::data: output(*n.value.get<Text>()); break;
    case Kind::print: output(str(evaluate(*n.kids[0]))); break;
    case Kind::if_else: return if_else(n);
    case Kind::for_loop: return run_loop(n, evaluate(*n.kids[1]), 1);
    case Kind::set: assign(*n.kids[0], evaluate(*n.kids[1])); break;
    case Kind::set_block: set_block(n); break;
    case Kind::macro: scope_->values[n.word] = macro(n, 0); break;
    case Kind::call_block: call_block(n); break;
    case Kind::filter_block: output(str(filtered(*n.kids[0], text_of(*n.kids[1])))); break;
    case Kind::with: with(n); break;
    case Kind::break_loop: return Flow::break_loop;
    case Kind::continue_loop: return Flow::continue_loop;
    case Kind::load: fail("{}: there are no other templates to load", n.word);
    default: fail("an expression where a statement is expected");
  }
  return Flow::on;
}

Flow Interpreter::if_else(const Node& n) {
  const Node* at = &n;
  while (!truth(evaluate(*at->kids[0]))) {
    if (at->kids.size() < 3) return Flow::on;
    at = at->kids[2].get();
    if (at->kind == Kind::body) return execute_body(*at);
  }
  return execute_body(*at->kids[1]);
}

void Interpreter::with(const Node& n) {
  std::vector<Value> values;
  for (size_t i = 2; i < n.kids.size(); i += 2) values.push_back(evaluate(*n.kids[i]));
  const InScope inside(*this);
  for (size_t i = 0; i < values.size(); ++i) assign(*n.kids[2 * i + 1], values[i]);
  execute_body(*n.kids[0]);
}

void Interpreter::set_block(const Node& n) {
  Text text = text_of(*n.kids[2]);
  assign(*n.kids[0], n.kids[1] ? filtered(*n.kids[1], std::move(text)) : Value(std::move(text)));
}

void Interpreter::call_block(const Node& n) {
  const Node& call_node = *n.kids[0];
  const Value f = evaluate(*call_node.kids[0]);
  Arguments a = arguments(call_node);
  a.named.emplace_back("caller", macro(n, 1));
  output(str(call(f, a)));
}

void Interpreter::assign(const Node& target, Value value) {
  if (target.kind == Kind::name) {
    scope_->values[target.word] = std::move(value);
  } else if (target.kind == Kind::attribute) {
    Namespace* space = name(target.kids[0]->word).space();
    require(space, "cannot assign an attribute of what is no namespace");
    require(!target.word.starts_with('_'), "attributes of a namespace may not begin with _: {}", shown(target.word));
    space->values[target.word] = std::move(value);
  } else {
    require(value.is<Items>() || value.is<Text>() || value.is<Entries>(), "cannot unpack a {}", type_name(value));
    const Values values = items_of(value);
    require(values.size() == target.kids.size(), "{} values to unpack, expected {}", values.size(), target.kids.size());
    for (size_t i = 0; i < values.size(); ++i) assign(*target.kids[i], values[i]);
  }
}

// Loops.

Flow Interpreter::run_loop(const Node& n, const Value& list, int depth) {
  LoopState* state = loops_.emplace_back(std::make_unique<LoopState>()).get();
  state->depth = depth;
  for (Value& v : items_of(list)) {
    charge(1);
    if (n.kids[2]) {
      const InScope inside(*this);
      assign(*n.kids[0], v);
      if (!truth(evaluate(*n.kids[2]))) continue;
    }
    state->items.push_back(std::move(v));
  }
  if (state->items.empty()) return execute_in_scope(n.kids[4].get());
  if (n.flag) {
    for (Scope* s = scope_; s; s = s->parent) s->kept = true;
  }
  const Value loop = loop_object(n, state);
  for (; state->at < state->items.size(); ++state->at) {
    const InScope inside(*this);
    scope_->values["loop"] = loop;
    assign(*n.kids[0], state->items[state->at]);
    if (execute_body(*n.kids[3]) == Flow::break_loop) break;
  }
  state->items.clear();
  return Flow::on;
}

namespace {

Value cycled(const LoopState& s, const Arguments& a) {
  require(!a.positional.empty(), "cycle() has nothing to choose from");
  return a.positional[s.at % a.positional.size()];
}

bool changed(LoopState& s, const Arguments& a) {
  const auto same = [&] {
    return s.last_changed->size() == a.positional.size() &&
           std::equal(a.positional.begin(), a.positional.end(), s.last_changed->begin(), equal);
  };
  if (s.last_changed && same()) return false;
  s.last_changed = a.positional;
  return true;
}

std::optional<Value> loop_attribute(LoopState* s, const std::string& name) {
  const auto at = static_cast<int64_t>(s->at), size = static_cast<int64_t>(s->items.size());
  if (name == "index") return at + 1;
  if (name == "index0") return at;
  if (name == "revindex") return size - at;
  if (name == "revindex0") return size - at - 1;
  if (name == "first") return at == 0;
  if (name == "last") return at + 1 >= size;
  if (name == "length") return size;
  if (name == "depth") return s->depth;
  if (name == "depth0") return s->depth - 1;
  if (name == "previtem") return at > 0 && at <= size ? s->items[at - 1] : undefined("there is no previous item");
  if (name == "nextitem") return at + 1 < size ? s->items[at + 1] : undefined("there is no next item");
  if (name == "cycle") return make_object("cycle", [s](const Arguments& a) { return cycled(*s, a); });
  if (name == "changed") return make_object("changed", [s](const Arguments& a) { return Value(changed(*s, a)); });
  return std::nullopt;
}

}  // namespace

Value Interpreter::loop_object(const Node& n, LoopState* state) {
  Object loop{.name = "loop"};
  loop.attribute = [state](const std::string& name) { return loop_attribute(state, name); };
  Scope* const scope = scope_;
  if (n.flag) {
    loop.call = [this, &n, scope, depth = state->depth](const Arguments& a) -> Value {
      const Given given("loop", a, {"iterable"});
      Text outer = std::exchange(out_, {});
      Scope* const caller = std::exchange(scope_, scope);
      run_loop(n, given[0], depth + 1);
      scope_ = caller;
      return std::exchange(out_, std::move(outer));
    };
  }
  return std::make_shared<const Object>(std::move(loop));
}

// Macros.

Value Interpreter::macro(const Node& n, size_t body) {
  for (Scope* s = scope_; s; s = s->parent) s->kept = true;
  Scope* const scope = scope_;
  Object made{.name = n.word};
  made.call = [this, &n, scope, body](const Arguments& a) -> Value {
    const InScope inside(*this, scope);
    bind(n, body, a);
    Text outer = std::exchange(out_, {});
    execute_body(*n.kids[body]);
    return std::exchange(out_, std::move(outer));
  };
  made.attribute = [&n](const std::string& name) -> std::optional<Value> {
    Values parameters;
    for (const auto& word : n.words) parameters.emplace_back(text_from(word));
    if (name == "name") return text_from(n.word);
    if (name == "arguments") return make_items(Items::tuple, std::move(parameters));
    if (name == "catch_kwargs") return n.takes_more_named;
    if (name == "catch_varargs") return n.takes_more_positional;
    if (name == "caller") return n.takes_caller;
    return std::nullopt;
  };
  return std::make_shared<const Object>(std::move(made));
}

/// Parameters of a macro as variables of its scope; its defaults stand behind `body` in its node.
void Interpreter::bind(const Node& n, size_t body, const Arguments& a) {
  auto& values = scope_->values;
  const size_t count = n.words.size();
  require(a.positional.size() <= count || n.takes_more_positional, "macro {} takes not more than {} argument(s)",
          shown(n.word), count);
  for (size_t i = 0; i < std::min(count, a.positional.size()); ++i) values[n.words[i]] = a.positional[i];
  std::vector<std::pair<Value, Value>> more;
  for (const auto& [name, value] : a.named) {
    const bool is_parameter = std::find(n.words.begin(), n.words.end(), name) != n.words.end();
    if (is_parameter || (name == "caller" && n.takes_caller)) {
      require(!values.contains(name), "macro {} got two values for {}", shown(n.word), shown(name));
      values[name] = value;
    } else {
      require(n.takes_more_named, "macro {} takes no keyword argument {}", shown(n.word), shown(name));
      more.emplace_back(text_from(name), value);
    }
  }
  if (n.takes_more_named) values["kwargs"] = make_dict(std::move(more));
  if (n.takes_more_positional) {
    const auto begin = a.positional.begin() + static_cast<int64_t>(std::min(count, a.positional.size()));
    values["varargs"] = make_items(Items::tuple, Values(begin, a.positional.end()));
  }
  if (n.takes_caller && !values.contains("caller")) values["caller"] = undefined("no caller defined");
  for (size_t i = 0; i < count; ++i) {
    if (values.contains(n.words[i])) continue;
    const Node* fallback = n.kids[body + 1 + i].get();
    values[n.words[i]] =
        fallback ? evaluate(*fallback) : undefined(fmt::format("parameter {} was not provided", shown(n.words[i])));
  }
}

// Templates.

struct Template::Impl {
  std::string where;
  NodePtr body;
};

Template::Template(std::string_view source, std::string where) {
  auto impl = std::make_unique<Impl>();
  impl->where = std::move(where);
  impl->body = parse(tokens_of(source, impl->where), impl->where);
  impl_ = std::move(impl);
}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Rendered Template::render(const Variables& variables, const Environment& environment) const {
  Text text;
  {
    Interpreter in(environment, variables);
    try {
      text = in.run(*impl_->body);
    } catch (const Raised& e) { throw TemplateError(impl_->where, in.line(), e.what(), true); } catch (const Error& e) {
      throw TemplateError(impl_->where, in.line(), e.what());
    }
  }
  Rendered made;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && ((text[at] ^ text[end]) & kForeign) == 0) ++end;
    const size_t begin = made.text.size();
    made.text += utf8_from(text.substr(at, end - at));
    if (text[at] & kForeign) made.foreign.emplace_back(begin, made.text.size());
    at = end;
  }
  return made;
}

}  // namespace jet::jinja
