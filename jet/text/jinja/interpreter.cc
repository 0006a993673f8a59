#include "jet/text/jinja/interpreter.h"

#include <algorithm>

#include "jet/text/utf8.h"

namespace jet::jinja {
namespace {

constexpr int kDeepestRun = 700;
constexpr int64_t kWorkPerStep = 32;  // characters or items

Value negative(const Value& v) { return v.is<double>() ? Value(-*v.get<double>()) : binary("-", 0, v); }

}  // namespace

struct Interpreter::Within {
  Within(Interpreter& i, int line) : in(i), before(i.line_) {
    in.line_ = line;
    require(++in.depth_ <= kDeepestRun, "calls nested too deeply: a macro that calls itself without end?");
    in.charge(1);
  }
  ~Within() { --in.depth_; }
  Interpreter& in;
  int before;
};

Interpreter::Interpreter(const Environment& environment, const Variables& variables) : environment_(environment) {
  add_globals(root_, *this);
  for (const auto& [key, value] : variables) root_.values[key] = value;
}

Interpreter::~Interpreter() {
  for (auto& space : spaces_) space->values.clear();
  for (auto& scope : kept_scopes_) scope->values.clear();
}

void Interpreter::charge(int64_t steps) {
  steps_ += steps;
  require(steps_ <= environment_.most_steps, "the template does not end: more than {} steps", environment_.most_steps);
}

Namespace* Interpreter::make_space() { return spaces_.emplace_back(std::make_unique<Namespace>()).get(); }

std::tm Interpreter::time() const {
  if (environment_.clock) return environment_.clock();
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

const Value& used(const Value& v) {
  const auto* u = v.get<Undefined>();
  require(!u, "{}", u && u->why ? *u->why : "an undefined value is used");
  return v;
}

Value undefined(std::string why) { return Undefined{std::make_shared<const std::string>(std::move(why))}; }

Value Interpreter::name(const std::string& word) const {
  for (const Scope* s = scope_; s; s = s->parent) {
    const auto found = s->values.find(word);
    if (found != s->values.end()) return found->second;
  }
  return undefined(fmt::format("{} is undefined", shown(word)));
}

Value Interpreter::evaluate(const Node& n) {
  const Within within(*this, n.line);
  if (n.kind == Kind::constant) return n.value;
  if (n.kind == Kind::name) return name(n.word);
  return evaluate_kind(n);
}

Value Interpreter::evaluate_kind(const Node& n) {
  const auto kid = [&](size_t i) { return evaluate(*n.kids[i]); };
  switch (n.kind) {
    case Kind::list:
    case Kind::tuple: return list(n);
    case Kind::dict: return dict(n);
    case Kind::given: return given_;
    case Kind::negative: return negative(kid(0));
    case Kind::positive: return binary("+", 0, kid(0));
    case Kind::negation: return !truth(kid(0));
    case Kind::both: {
      Value first = kid(0);
      return truth(first) ? kid(1) : first;
    }
    case Kind::either: {
      Value first = kid(0);
      return truth(first) ? first : kid(1);
    }
    case Kind::choice:
      if (truth(kid(0))) return kid(1);
      return n.kids[2] ? kid(2) : undefined("the inline if without an else has no value here");
    case Kind::binary: {
      const Value a = kid(0), b = kid(1);
      line_ = n.line;
      charge((weight_of(a) + weight_of(b)) / kWorkPerStep);
      return binary(n.word, a, b);
    }
    case Kind::compare: return compare(n);
    case Kind::concat: return concat(n);
    case Kind::attribute: {
      const Value v = kid(0);
      line_ = n.line;
      return attribute(v, n.word);
    }
    case Kind::item: {
      const Value v = kid(0);
      return item(v, kid(1));
    }
    case Kind::slice: return slice(n);
    case Kind::call: {
      const Value f = kid(0);
      const Arguments a = arguments(n);
      line_ = n.line;
      return call(f, a);
    }
    case Kind::filter: {
      const Value input = kid(0);
      const Arguments a = arguments(n);
      line_ = n.line;
      return filter(n.word, input, a);
    }
    case Kind::test: {
      const Value input = kid(0);
      return test(n.word, input, arguments(n)) != n.flag;
    }
    default: fail("a statement where an expression is expected");
  }
}

Value Interpreter::list(const Node& n) {
  Values values;
  for (const auto& kid : n.kids) values.push_back(evaluate(*kid));
  return make_items(n.kind == Kind::list ? Items::list : Items::tuple, std::move(values));
}

Value Interpreter::dict(const Node& n) {
  std::vector<std::pair<Value, Value>> pairs;
  for (size_t i = 0; i < n.kids.size(); i += 2) {
    Value key = evaluate(*n.kids[i]);
    pairs.emplace_back(std::move(key), evaluate(*n.kids[i + 1]));
  }
  charge(static_cast<int64_t>(pairs.size() * pairs.size()) / kWorkPerStep);
  return make_dict(std::move(pairs));
}

bool Interpreter::compare(const Node& n) {
  Value a = evaluate(*n.kids[0]);
  for (size_t i = 0; i < n.words.size(); ++i) {
    const std::string& op = n.words[i];
    Value b = evaluate(*n.kids[i + 1]);
    charge((weight_of(a) + weight_of(b)) / kWorkPerStep);
    const auto smaller = [](const Value& x, const Value& y) { return less(used(x), used(y)); };
    const bool holds = op == "=="   ? equal(a, b)
                       : op == "!=" ? !equal(a, b)
                       : op == "<"  ? smaller(a, b)
                       : op == ">"  ? smaller(b, a)
                       : op == "<=" ? !smaller(b, a)
                       : op == ">=" ? !smaller(a, b)
                                    : contains(b, a) == (op == "in");
    if (!holds) return false;
    a = std::move(b);
  }
  return true;
}

Value Interpreter::concat(const Node& n) {
  Text made;
  for (const auto& kid : n.kids) made += str(evaluate(*kid));
  charge(static_cast<int64_t>(made.size()) / kWorkPerStep);
  return made;
}

Value Interpreter::slice(const Node& n) {
  const Value v = evaluate(*n.kids[0]);
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) parts[i] = n.kids[i + 1] ? evaluate(*n.kids[i + 1]) : Value(None{});
  charge(weight_of(v) / kWorkPerStep);
  return sliced(v, parts[0], parts[1], parts[2]);
}

Arguments Interpreter::arguments(const Node& n) {
  Arguments a;
  const size_t positional = n.kids.size() - n.words.size();
  for (size_t i = 1; i < n.kids.size(); ++i) {
    if (i < positional) {
      a.positional.push_back(evaluate(*n.kids[i]));
    } else {
      a.named.emplace_back(n.words[i - positional], evaluate(*n.kids[i]));
    }
  }
  return a;
}

Value Interpreter::call(const Value& f, const Arguments& a) {
  const auto* object = used(f).get<Object>();
  require(object && object->call, "'{}' object is not callable", type_name(f));
  const Within within(*this, line_);
  for (const Value& v : a.positional) charge(weight_of(v) / kWorkPerStep);
  return object->call(a);
}

Value Interpreter::filter(const std::string& name, const Value& input, const Arguments& a) {
  charge(1 + weight_of(input) / kWorkPerStep);
  for (const Value& v : a.positional) charge(weight_of(v) / kWorkPerStep);
  const Filter of_text = text_filter(name), f = of_text ? of_text : list_filter(name);
  require(f, "no filter named {}", shown(name));
  return f(*this, input, a);
}

Value Interpreter::filtered(const Node& filters, Text text) {
  Value outer = std::exchange(given_, Value(std::move(text)));
  Value made = evaluate(filters);
  given_ = std::move(outer);
  return made;
}

Value Interpreter::attribute(const Value& v, const std::string& name) {
  used(v);
  if (auto found = method(v, name)) return *found;
  if (const Namespace* space = v.space()) {
    const auto found = space->values.find(name);
    if (found != space->values.end()) return found->second;
  }
  if (const auto* object = v.get<Object>(); object && object->attribute) {
    if (auto found = object->attribute(name)) return *found;
  }
  if (const auto* dict = v.get<Entries>()) {
    charge(static_cast<int64_t>(dict->pairs.size()) / kWorkPerStep);
    if (const Value* found = dict->find(text_from(name))) return *found;
  }
  if (name.starts_with('_')) {
    return undefined(fmt::format("access to attribute {} of '{}' object is unsafe", shown(name), type_name(v)));
  }
  if (v.is<None>()) return undefined(fmt::format("'None' has no attribute {}", shown(name)));
  return undefined(fmt::format("'{} object' has no attribute {}", type_name(v), shown(name)));
}

Value Interpreter::item(const Value& v, const Value& key) {
  used(v);
  if (const auto* dict = v.get<Entries>()) {
    charge(static_cast<int64_t>(dict->pairs.size()) / kWorkPerStep);
    if (const Value* found = dict->find(key)) return *found;
  }
  const auto* text = v.get<Text>();
  const auto* items = v.get<Items>();
  if ((text || items) && (key.is<Int>() || key.is<bool>())) {
    const auto size = static_cast<int64_t>(text ? text->size() : items->values_of.size());
    int64_t at = to_integer(key, "an index");
    if (at < 0) at += size;
    if (at < 0 || at >= size)
      return undefined(fmt::format("'{} object' has no element {}", type_name(v), to_integer(key, "an index")));
    return text ? Value(text->substr(at, 1)) : items->values_of[at];
  }
  if (!key.is<Text>()) return undefined(fmt::format("'{} object' has no such element", type_name(v)));
  if (!v.is<Entries>()) return attribute(v, utf8_from(*key.get<Text>()));
  const std::string word = utf8_from(*key.get<Text>());
  if (auto found = method(v, word)) return *found;
  return undefined(fmt::format("'{} object' has no attribute {}", type_name(v), shown(word)));
}

Value Interpreter::path(const Value& v, const Value& dotted) {
  if (!dotted.is<Text>()) return item(v, dotted);
  Value at = v;
  for (const Text& part : split(*dotted.get<Text>(), U".", -1, false)) {
    const bool is_index = !part.empty() && part.size() < 10 && std::all_of(part.begin(), part.end(), is_digit);
    at = item(at, is_index ? Value(std::atoll(utf8_from(part).c_str())) : Value(part));
  }
  return at;
}

Given::Given(const std::string& what, const Arguments& a, std::initializer_list<const char*> parameters)
    : values_(parameters.size()) {
  require(a.positional.size() <= values_.size(), "{} takes at most {} arguments, {} given", what, values_.size(),
          a.positional.size());
  std::copy(a.positional.begin(), a.positional.end(), values_.begin());
  for (const auto& [name, value] : a.named) {
    const auto* found =
        std::find_if(parameters.begin(), parameters.end(), [&, &n = name](const char* p) { return n == p; });
    require(found != parameters.end(), "{} takes no argument named {}", what, shown(name));
    values_[found - parameters.begin()] = value;
  }
}

const Value& Given::operator[](size_t i) const {
  require(values_[i].has_value(), "argument {} is missing", i + 1);
  return *values_[i];
}

int64_t Given::integer(size_t i, int64_t fallback) const {
  return has(i) ? to_integer(used(*values_[i]), "an argument") : fallback;
}

}  // namespace jet::jinja
