#include "jet/text/jinja/parser.h"

#include "jet/text/jinja/expressions.h"

namespace jet::jinja {
namespace {

class Parser : Expressions {
 public:
  Parser(std::vector<Token> tokens, const std::string& where) : Expressions(std::move(tokens), where) {}

  NodePtr run() { return body({}, ""); }

 private:
  /// Up to a tag that begins with one of `ends`, which is left to be taken; `open` is what they close.
  NodePtr body(Words ends, const std::string& open) {
    const Deeper deeper(*this);
    NodePtr made = make(Kind::body);
    while (true) {
      if (now().kind == Token::end) {
        if (ends.size() > 0)
          wrong(fmt::format("the template ends, '{}' is not closed by '{}'", open, *(ends.end() - 1)));
        return made;
      }
      if (now().kind == Token::data) {
        made->kids.push_back(make(Kind::data));
        made->kids.back()->value = take().value;
      } else if (now().kind == Token::print_begin) {
        ++at_;
        if (now().kind == Token::print_end) wrong("expected an expression, got 'end of print statement'");
        made->kids.push_back(make(Kind::print, "", tuple(true)));
        expect(Token::print_end, "the end of the print statement");
      } else {
        ++at_;
        if (is_name(ends)) return made;
        made->kids.push_back(statement());
      }
    }
  }
  NodePtr body_to(const char* end, const std::string& open) {
    NodePtr made = body({end}, open);
    ++at_;
    end_of_block();
    return made;
  }

  NodePtr statement() {
    const std::string tag = a_name();
    if (tag == "if") return if_else();
    if (tag == "for") return for_loop();
    if (tag == "set") return set();
    if (tag == "macro") return macro();
    if (tag == "call") return call_block();
    if (tag == "filter") return filter_block();
    if (tag == "with") return with();
    if (tag == "generation" || tag == "block") {
      if (tag == "block") a_name();
      end_of_block();
      NodePtr made = make(Kind::with, "", body_to(tag == "block" ? "endblock" : "endgeneration", tag));
      return made;
    }
    NodePtr made;
    if (tag == "print") made = make(Kind::print, "", tuple(true));
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) wrong(fmt::format("'{}' outside of a loop", tag));
      made = make(tag == "break" ? Kind::break_loop : Kind::continue_loop);
    }
    for (const char* load : {"include", "import", "from", "extends"}) {
      if (tag != load) continue;
      made = make(Kind::load, tag);
      while (now().kind != Token::block_end && now().kind != Token::end) ++at_;
    }
    if (!made) wrong(fmt::format("unknown tag {}", shown(tag)));
    end_of_block();
    return made;
  }

  NodePtr if_else() {
    NodePtr made = make(Kind::if_else, "", tuple(false));
    end_of_block();
    made->kids.push_back(body({"elif", "else", "endif"}, "if"));
    const Deeper deeper(*this);
    if (skip_name("elif")) {
      made->kids.push_back(if_else());
    } else if (skip_name("else")) {
      end_of_block();
      made->kids.push_back(body_to("endif", "if"));
    } else {
      ++at_;
      end_of_block();
    }
    return made;
  }

  NodePtr for_loop() {
    NodePtr made = make(Kind::for_loop, "", target(false));
    expect_name("in");
    made->kids.push_back(tuple(false));
    made->kids.push_back(skip_name("if") ? expr() : nullptr);
    made->flag = skip_name("recursive");
    end_of_block();
    ++loops_;
    made->kids.push_back(body({"else", "endfor"}, "for"));
    --loops_;
    const bool has_else = is_name("else");
    ++at_;
    end_of_block();
    made->kids.push_back(has_else ? body_to("endfor", "for") : nullptr);
    return made;
  }

  NodePtr set() {
    NodePtr to = target(true);
    if (skip_sign("=")) {
      NodePtr made = make(Kind::set, "", std::move(to), tuple(true));
      end_of_block();
      return made;
    }
    NodePtr filters = is_sign("|") ? postfix_filters(make(Kind::given)) : nullptr;
    end_of_block();
    return make(Kind::set_block, "", std::move(to), std::move(filters), body_to("endset", "set"));
  }

  /// A statement of a body and parameters, whose own loops have not begun.
  NodePtr body_of(Node& macro, const char* end, const std::string& open) {
    const int loops = std::exchange(loops_, 0);
    Node* const outer = std::exchange(macro_, &macro);
    NodePtr made = body_to(end, open);
    macro_ = outer;
    loops_ = loops;
    return made;
  }

  NodePtr macro() {
    NodePtr made = make(Kind::macro, a_name());
    made->kids.emplace_back();
    parameters(*made);
    end_of_block();
    made->kids[0] = body_of(*made, "endmacro", "macro");
    return made;
  }

  NodePtr call_block() {
    NodePtr made = make(Kind::call_block, "caller");
    made->kids.resize(2);
    if (is_sign("(")) parameters(*made);
    made->kids[0] = expr();
    if (made->kids[0]->kind != Kind::call) wrong("expected a call");
    end_of_block();
    made->kids[1] = body_of(*made, "endcall", "call");
    return made;
  }

  void parameters(Node& node) {
    expect_sign("(");
    bool optional = false;
    while (!skip_sign(")")) {
      if (!node.words.empty()) expect_sign(",");
      node.words.push_back(a_name());
      const bool has_default = skip_sign("=");
      if (optional && !has_default) wrong("a parameter without a default follows one with a default");
      optional = has_default;
      node.kids.push_back(has_default ? expr() : nullptr);
    }
  }

  NodePtr filter_block() {
    NodePtr filters = postfix_filters(one_filter(make(Kind::given)));
    end_of_block();
    return make(Kind::filter_block, "", std::move(filters), body_to("endfilter", "filter"));
  }

  NodePtr with() {
    NodePtr made = make(Kind::with);
    made->kids.emplace_back();
    while (now().kind != Token::block_end) {
      if (made->kids.size() > 1) expect_sign(",");
      made->kids.push_back(target(false));
      expect_sign("=");
      made->kids.push_back(expr());
    }
    end_of_block();
    made->kids[0] = body_to("endwith", "with");
    return made;
  }

  /// `space`: NAME "." NAME may be one, too.
  NodePtr target(bool space) {
    const Deeper deeper(*this);
    std::vector<NodePtr> parts;
    bool comma = false;
    do {
      if (!parts.empty() && now().kind != Token::name && !is_sign("(")) break;
      if (skip_sign("(")) {
        parts.push_back(target(false));
        expect_sign(")");
      } else {
        const std::string word = now().kind == Token::name ? a_name() : "";
        if (word.empty()) wrong(fmt::format("unexpected {}", shown_word(now())));
        if (is_name("in") && word == "in") wrong("expected a name, got 'in'");
        parts.push_back(make(Kind::name, word));
        if (space && skip_sign(".")) parts.back() = make(Kind::attribute, a_name(), std::move(parts.back()));
      }
    } while (skip_sign(",") && (comma = true));
    if (!comma) return std::move(parts[0]);
    NodePtr made = make(Kind::tuple);
    made->kids = std::move(parts);
    return made;
  }

  int loops_ = 0;  // that a break may end
};

}  // namespace

NodePtr parse(std::vector<Token> tokens, const std::string& where) { return Parser(std::move(tokens), where).run(); }

}  // namespace jet::jinja
