// The parser's expressions, by recursive descent, and its reading of tokens. For parser.cc alone.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "jet/text/jinja/jinja.h"
#include "jet/text/jinja/parser.h"
#include "jet/text/utf8.h"

namespace jet::jinja {

inline constexpr int kDeepestNode = 150;   // brackets and tags within each other
inline constexpr int kLongestChain = 500;  // operators one after another

class Expressions {
 protected:
  Expressions(std::vector<Token> tokens, const std::string& where) : tokens_(std::move(tokens)), where_(where) {}

  using Words = std::initializer_list<const char*>;
  struct Deeper {
    explicit Deeper(Expressions& e) : parser(e) {
      if (++parser.depth_ > kDeepestNode) parser.wrong(fmt::format("nested deeper than {}", kDeepestNode));
    }
    ~Deeper() { --parser.depth_; }
    Expressions& parser;
  };

  // The tokens.
  const Token& now() const { return tokens_[at_]; }
  [[noreturn]] void wrong(const std::string& message) const { throw TemplateError(where_, now().line, message); }
  static std::string shown_word(const Token& t) {
    return t.kind == Token::name || t.kind == Token::sign || t.kind == Token::integer ? shown(t.word)
                                                                                      : fmt::format("'{}'", t.word);
  }
  bool is_sign(const char* s) const { return now().kind == Token::sign && now().word == s; }
  bool is_name(const char* s) const { return now().kind == Token::name && now().word == s; }
  bool is_name(Words words) const {
    return std::any_of(words.begin(), words.end(), [&](const char* w) { return is_name(w); });
  }
  Token take() { return now().kind == Token::end ? now() : tokens_[at_++]; }
  bool skip_sign(const char* s) { return is_sign(s) && ++at_; }
  bool skip_name(const char* s) { return is_name(s) && ++at_; }
  void expect_sign(const char* s) {
    if (!skip_sign(s)) wrong(fmt::format("expected '{}', got {}", s, shown_word(now())));
  }
  void expect_name(const char* s) {
    if (!skip_name(s)) wrong(fmt::format("expected '{}', got {}", s, shown_word(now())));
  }
  void expect(Token::Kind kind, const char* what) {
    if (now().kind != kind) wrong(fmt::format("expected {}, got {}", what, shown_word(now())));
    ++at_;
  }
  std::string a_name() {
    if (now().kind != Token::name) wrong(fmt::format("expected a name, got {}", shown_word(now())));
    return take().word;
  }
  void end_of_block() { expect(Token::block_end, "the end of the statement block"); }

  NodePtr make(Kind kind, std::string word = {}) const {
    return std::make_unique<Node>(Node{.kind = kind, .line = now().line, .word = std::move(word)});
  }
  template <class... Kids>
  NodePtr make(Kind kind, std::string word, NodePtr first, Kids... kids) const {
    NodePtr node = make(kind, std::move(word));
    node->line = first ? first->line : node->line;
    node->kids.push_back(std::move(first));
    (node->kids.push_back(std::move(kids)), ...);
    return node;
  }

  // Expressions.
  bool ends_tuple() const {
    return now().kind == Token::print_end || now().kind == Token::block_end || now().kind == Token::end || is_sign(")");
  }
  NodePtr tuple(bool with_choice) {
    NodePtr first = with_choice ? expr() : either();
    if (!is_sign(",")) return first;
    NodePtr made = make(Kind::tuple, "", std::move(first));
    while (skip_sign(",") && !ends_tuple()) made->kids.push_back(with_choice ? expr() : either());
    return made;
  }

  NodePtr expr() {
    const Deeper deeper(*this);
    NodePtr made = either();
    for (int n = 0; skip_name("if"); bound(++n)) {
      NodePtr condition = either();
      made = make(Kind::choice, "", std::move(condition), std::move(made), skip_name("else") ? expr() : nullptr);
    }
    return made;
  }
  void bound(int links) const {
    if (links > kLongestChain) wrong(fmt::format("more than {} operators in a row", kLongestChain));
  }
  NodePtr either() {
    NodePtr made = both();
    for (int n = 0; skip_name("or"); bound(++n)) made = make(Kind::either, "", std::move(made), both());
    return made;
  }
  NodePtr both() {
    NodePtr made = negation();
    for (int n = 0; skip_name("and"); bound(++n)) made = make(Kind::both, "", std::move(made), negation());
    return made;
  }
  NodePtr negation() {
    const Deeper deeper(*this);
    return skip_name("not") ? make(Kind::negation, "", negation()) : compare();
  }

  NodePtr compare() {
    NodePtr made = sum();
    std::vector<std::string> operators;
    std::vector<NodePtr> others;
    while (true) {
      std::string word;
      for (const char* s : {"==", "!=", "<", "<=", ">", ">="})
        if (is_sign(s)) word = s;
      if (is_name("in")) word = "in";
      const Token& next = tokens_[std::min(at_ + 1, tokens_.size() - 1)];
      if (is_name("not") && next.kind == Token::name && next.word == "in") word = "not in", ++at_;
      if (word.empty()) break;
      ++at_;
      operators.push_back(word);
      others.push_back(sum());
    }
    if (operators.empty()) return made;
    made = make(Kind::compare, "", std::move(made));
    std::move(others.begin(), others.end(), std::back_inserter(made->kids));
    made->words = std::move(operators);
    return made;
  }

  template <class Next>
  NodePtr chain(Words signs, Next&& next) {
    NodePtr made = next();
    for (int n = 0;; bound(++n)) {
      const auto* found = std::find_if(signs.begin(), signs.end(), [&](const char* s) { return is_sign(s); });
      if (found == signs.end()) return made;
      ++at_;
      made = make(Kind::binary, *found, std::move(made), next());
    }
  }
  NodePtr sum() {
    return chain({"+", "-"}, [&] { return concat(); });
  }
  NodePtr concat() {
    NodePtr made = product();
    if (!is_sign("~")) return made;
    made = make(Kind::concat, "", std::move(made));
    while (skip_sign("~")) made->kids.push_back(product());
    return made;
  }
  NodePtr product() {
    return chain({"*", "/", "//", "%"}, [&] { return chain({"**"}, [&] { return unary(true); }); });
  }

  NodePtr unary(bool with_filters) {
    const Deeper deeper(*this);
    NodePtr made;
    if (skip_sign("-")) {
      made = make(Kind::negative, "", unary(false));
    } else if (skip_sign("+")) {
      made = make(Kind::positive, "", unary(false));
    } else {
      made = primary();
    }
    made = postfix(std::move(made));
    return with_filters ? postfix_filters(std::move(made)) : std::move(made);
  }

  NodePtr primary() {
    const Token t = take();
    if (t.kind == Token::name) {
      NodePtr made = make(Kind::constant);
      if (t.word == "true" || t.word == "True" || t.word == "false" || t.word == "False") {
        made->value = t.word == "true" || t.word == "True";
      } else if (t.word == "none" || t.word == "None") {
        made->value = None{};
      } else {
        made = make(Kind::name, t.word);
        for (Node* m = macro_; m; m = nullptr) {
          m->takes_more_positional |= t.word == "varargs";
          m->takes_more_named |= t.word == "kwargs";
          m->takes_caller |= t.word == "caller";
        }
      }
      return made;
    }
    if (t.kind == Token::text || t.kind == Token::integer || t.kind == Token::number) {
      NodePtr made = make(Kind::constant);
      made->value = t.value;
      if (t.kind == Token::text && now().kind == Token::text) {
        Text whole = *t.value.get<Text>();
        while (now().kind == Token::text) whole += *take().value.get<Text>();
        made->value = std::move(whole);
      }
      return made;
    }
    if (t.kind == Token::sign && t.word == "(") {
      NodePtr made = is_sign(")") ? make(Kind::tuple) : tuple(true);
      expect_sign(")");
      return made;
    }
    if (t.kind == Token::sign && t.word == "[") return list();
    if (t.kind == Token::sign && t.word == "{") return dict();
    if (t.kind != Token::end) --at_;
    wrong(fmt::format("unexpected {}", shown_word(now())));
  }
  NodePtr list() {
    NodePtr made = make(Kind::list);
    while (!skip_sign("]")) {
      if (!made->kids.empty()) expect_sign(",");
      if (skip_sign("]")) break;
      made->kids.push_back(expr());
    }
    return made;
  }
  NodePtr dict() {
    NodePtr made = make(Kind::dict);
    while (!skip_sign("}")) {
      if (!made->kids.empty()) expect_sign(",");
      if (skip_sign("}")) break;
      made->kids.push_back(expr());
      expect_sign(":");
      made->kids.push_back(expr());
    }
    return made;
  }

  NodePtr postfix(NodePtr made) {
    for (int n = 0;; bound(++n)) {
      if (skip_sign(".")) {
        if (now().kind == Token::integer) {
          NodePtr index = make(Kind::constant);
          index->value = take().value;
          made = make(Kind::item, "", std::move(made), std::move(index));
        } else {
          made = make(Kind::attribute, a_name(), std::move(made));
        }
      } else if (skip_sign("[")) {
        made = subscript(std::move(made));
      } else if (is_sign("(")) {
        made = make(Kind::call, "", std::move(made));
        arguments(*made);
      } else {
        return made;
      }
    }
  }
  NodePtr subscript(NodePtr whole) {
    NodePtr parts[3];
    int n = 0;
    while (n < 3 && !is_sign("]")) {
      if (!is_sign(":")) parts[n] = expr();
      if (!skip_sign(":")) break;
      ++n;
    }
    const bool is_slice = n > 0;
    expect_sign("]");
    if (is_slice)
      return make(Kind::slice, "", std::move(whole), std::move(parts[0]), std::move(parts[1]), std::move(parts[2]));
    if (!parts[0]) wrong("expected an expression, got ']'");
    return make(Kind::item, "", std::move(whole), std::move(parts[0]));
  }

  /// Appends to `node` its arguments, named ones last.
  void arguments(Node& node) {
    expect_sign("(");
    for (bool first = true; !skip_sign(")"); first = false) {
      if (!first) expect_sign(",");
      if (skip_sign(")")) break;
      if (is_sign("*") || is_sign("**")) wrong("arguments from a list (* and **) are not supported");
      const Token& next = tokens_[std::min(at_ + 1, tokens_.size() - 1)];
      const bool is_named = now().kind == Token::name && next.kind == Token::sign && next.word == "=";
      if (!is_named && !node.words.empty()) wrong("an argument without a name follows one with a name");
      if (is_named) node.words.push_back(take().word), ++at_;
      node.kids.push_back(expr());
    }
  }

  std::string dotted_name() {
    std::string word = a_name();
    while (skip_sign(".")) word += "." + a_name();
    return word;
  }
  NodePtr one_filter(NodePtr made) {
    made = make(Kind::filter, dotted_name(), std::move(made));
    if (is_sign("(")) arguments(*made);
    return made;
  }
  NodePtr postfix_filters(NodePtr made) {
    for (int n = 0;; bound(++n)) {
      if (skip_sign("|")) {
        made = one_filter(std::move(made));
      } else if (skip_name("is")) {
        made = test(std::move(made));
      } else if (is_sign("(")) {
        made = make(Kind::call, "", std::move(made));
        arguments(*made);
      } else {
        return made;
      }
    }
  }
  NodePtr test(NodePtr made) {
    const bool negated = skip_name("not");
    made = make(Kind::test, dotted_name(), std::move(made));
    made->flag = negated;
    const bool has_argument = now().kind == Token::text || now().kind == Token::integer ||
                              now().kind == Token::number || is_sign("[") || is_sign("{") ||
                              (now().kind == Token::name && !is_name({"else", "or", "and", "if"}));
    if (is_sign("(")) {
      arguments(*made);
    } else if (has_argument) {
      if (is_name("is")) wrong("tests cannot be chained with 'is'");
      made->kids.push_back(postfix(primary()));
    }
    return made;
  }

  std::vector<Token> tokens_;
  const std::string& where_;
  size_t at_ = 0;
  int depth_ = 0;
  Node* macro_ = nullptr;
};

}  // namespace jet::jinja
