"""A C++ file as its definitions, for the checks of the sources: enough of the grammar for what clang-format lays out.

    definitions(text)   every type and function that a namespace or a class defines, in order
    tokens(text)        (line, token) of everything, without comments and what strings say

Of #if .. #else .. #endif the first branch alone is read for definitions: each has its own braces.
"""

import dataclasses
import re

TOKEN = re.compile(r"""
    (?P<skip> \s+ | //[^\n]* | /\*.*?\*/ )
  | (?P<text> (?:u8|[uUL])?R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)" | (?:u8|[uUL])?"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])+' )
  | (?P<number> \.?\d(?:[eEpP][+-]|'?[\w.])* )
  | (?P<word> [A-Za-z_]\w* )
  | (?P<sign> :: | -> | \.\.\. | [-+*/%^&|=<>!]= | && | \|\| | . )
""", re.VERBOSE | re.DOTALL)
DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w+)(?:\\\n|[^\n])*", re.MULTILINE)
PAIRS = {"(": ")", "[": "]", "{": "}"}
TYPES = ("class", "struct", "union", "enum")


@dataclasses.dataclass
class Definition:
    kind: str        # "type" or "function"
    scope: tuple     # names of the namespaces and classes around it; "" for a namespace without a name
    name: str        # of a specialisation with its arguments
    types: tuple     # of a function's parameters
    line: int        # where it begins, template line included
    end: int         # the line of its last brace
    inside: str      # "namespace" or "class"
    specifiers: tuple  # words before its name: static, inline, ...


def without_directives(text):
    """The text with preprocessor lines and second branches blanked; line numbers stay."""
    out, last, branches = [], 0, []  # branches: of every open #if, whether a later branch is being left out
    for m in DIRECTIVE.finditer(text):
        piece = text[last:m.start()]
        out.append(re.sub(r"[^\n]", " ", piece) if any(branches) else piece)
        out.append(re.sub(r"[^\n]", " ", m.group()))
        last = m.end()
        if m.group(1) in ("if", "ifdef", "ifndef"):
            branches.append(False)
        elif m.group(1) in ("else", "elif") and branches:
            branches[-1] = True
        elif m.group(1) == "endif" and branches:
            branches.pop()
    return "".join(out) + text[last:]


def tokens(text):
    line, found = 1, []
    for m in TOKEN.finditer(text):
        if m.lastgroup != "skip":
            found.append((line, '""' if m.group("text") else m.group()))
        line += m.group().count("\n")
    return found


class Parser:
    def __init__(self, text):
        self.tokens, self.at, self.found = tokens(without_directives(text)), 0, []

    def close(self, at):
        """The index of the bracket that closes the one at `at`."""
        depth = 0
        for i in range(at, len(self.tokens)):
            token = self.tokens[i][1]
            depth += (token in PAIRS) - (token in PAIRS.values())
            if depth == 0:
                return i
        return len(self.tokens) - 1

    def scope(self, names, inside):
        """Reads declarations to the brace that ends the scope, or to the end of the file."""
        begin = self.at
        while self.at < len(self.tokens):
            token = self.tokens[self.at][1]
            if token == "}":
                return
            if token == "{":
                if self.block(begin, names, inside):
                    begin = self.at
            elif token in "([":
                self.at = self.close(self.at) + 1
            else:
                self.at += 1
                if token == ";" or token == ":" and self.tokens[self.at - 2][1] in ("public", "private", "protected"):
                    begin = self.at

    def block(self, begin, names, inside):
        """What the brace at `at` opens; whether the declaration ends with it."""
        head = self.tokens[begin:self.at]
        words = flat(without_templates(head))
        end = self.close(self.at)
        kind = kind_of(words)
        if kind == "initialiser":
            self.at = end + 1
            return False
        self.at += 1
        if kind == "namespace":
            inner = [w for w in words[words.index("namespace") + 1:] if w != "::"]
            self.scope(names + tuple(inner or [""]), "namespace")
        elif kind == "linkage":
            self.scope(names, "namespace")
        elif kind == "type":
            name = type_name(words)
            self.found.append(Definition("type", names, name, (), head[0][0], self.tokens[end][0], inside, ()))
            if "enum" not in words and name:
                self.scope(names + (name,), "class")
        elif kind == "function":
            name, types, specifiers = signature(without_templates(head))
            self.found.append(
                Definition("function", names, name, types, head[0][0], self.tokens[end][0], inside, specifiers))
        self.at = end + 1
        return True


def without_templates(head):
    """The tokens of a declaration without template <...> before it."""
    while head and head[0][1] == "template":
        depth = 0
        for i, (_, token) in enumerate(head):
            depth += (token == "<") - (token == ">")
            if token == ">" and depth == 0:
                head = head[i + 1:]
                break
        else:
            return head
    return head


def flat(head):
    """The words of a declaration, with what stands in brackets left out: f ( ) const."""
    words, depth = [], 0
    for _, token in head:
        depth -= token in PAIRS.values()
        if depth == 0:
            words.append(token)
        depth += token in PAIRS
    return words


def kind_of(words):
    if "namespace" in words:
        return "namespace"
    if words[:1] == ["extern"] and words[1:] == ['""']:
        return "linkage"
    last = words[-1] if words else ""
    if "(" not in words or words[0] in TYPES and "operator" not in words and last != ")":
        if any(w in TYPES for w in words) and "=" not in words:
            return "type"
    if "(" in words:
        before = words[:words.index("(")]
        if "=" in before and "operator" not in before:
            return "initialiser"
        # Members that braces initialise stand before a constructor's body: S() : a{1}, b{2} {
        colon = next((i for i in range(1, len(words)) if words[i] == ":" and words[i - 1] in (")", "noexcept")), None)
        if colon is not None and last not in (")", "}"):
            return "initialiser"
        return "function"
    return "initialiser"


def type_name(words):
    """The name after struct, class, union or enum; of a specialisation with its arguments."""
    words = words[next(i for i, w in enumerate(words) if w in TYPES) + 1:]
    name = ""
    depth = 0
    for word in words:
        if word in ("class", "struct", "alignas", "(", ")", "[", "]") and not name:
            continue
        if word == "final" and name or word in (":", "{") and depth == 0:
            break
        depth += (word == "<") - (word == ">")
        name += word
    return name


def signature(head):
    """A function's name, the types of its parameters, and the words before its name."""
    words = [token for _, token in head]
    at = 0
    while words[at] != "(" or words[at - 1] == "operator" and words[at + 1:at + 3] == [")", "("]:
        at += 1
    begin = at - 1
    if "operator" in words[:at]:
        begin = len(words[:at]) - 1 - words[:at][::-1].index("operator")
    while begin >= 2 and words[begin - 1] == "::":
        begin -= 2
        if words[begin] == ">":  # S<T>::f
            begin = len(words[:begin]) - 1 - words[:begin][::-1].index("<") - 1
    if begin > 0 and words[begin - 1] == "~":
        begin -= 1
    parameters, depth, angles, current = [], 0, 0, []
    for i in range(at + 1, len(words)):
        word = words[i]
        if word == ")" and depth == 0:
            break
        depth += (word in PAIRS) - (word in PAIRS.values())
        angles += (word == "<") - (word == ">")
        if word == "," and depth == 0 and angles == 0:
            parameters.append(current)
            current = []
        else:
            current.append(word)
    if current and current != ["void"]:
        parameters.append(current)
    return "".join(words[begin:at]), tuple(type_of(p) for p in parameters), tuple(words[:begin])


def type_of(parameter):
    """A parameter's type: without its name and default."""
    if "=" in parameter:
        parameter = parameter[:parameter.index("=")]
    if len(parameter) > 1 and re.match(r"[A-Za-z_]\w*$", parameter[-1]) and parameter[-2] not in ("::", "const"):
        parameter = parameter[:-1]
    return " ".join(parameter)


def definitions(text):
    parser = Parser(text)
    while parser.at < len(parser.tokens):
        parser.scope((), "namespace")
        parser.at += 1
    return parser.found
