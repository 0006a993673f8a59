#!/usr/bin/env python3
"""Builds small trees, each with one fault, and sees that check_sources.py names it."""

import pathlib
import tempfile
import unittest

import check_sources


def function(lines, parameters=1, head="int f"):
    types = ", ".join(f"std::pair<int, int> p{i}" for i in range(parameters))
    return f"{head}({types}) {{\n" + "  g();\n" * (lines - 2) + "}\n"


class CheckSources(unittest.TestCase):
    def faults_of(self, name, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True)
            path.write_text(text)
            return check_sources.check(pathlib.Path(folder))

    def expect_fault(self, fault, text, name="jet/base/a.cc"):
        faults = self.faults_of(name, text)
        self.assertEqual(len(faults), 1, f"{text}: {faults}")
        self.assertIn(fault, faults[0])

    def expect_none(self, text, name="jet/base/a.cc"):
        self.assertEqual(self.faults_of(name, text), [], text)

    def test_libraries_are_quiet(self):
        for call in ('std::printf("a")', 'puts("a")', 'fmt::print("{}", 1)', "std::cout << 1", "exit(1)",
                     "std::exit(2)", "::_exit(3)", "std::abort()", "return abort()", "std::quick_exit(0)",
                     "fmt::vprint(stderr, f, a)"):
            self.expect_fault("jet/base/a.cc:2: ", f"void f() {{\n  {call};\n}}\n")
            self.expect_none(f"void f() {{\n  {call};\n}}\n", "jet/cli/a.cc")
            self.expect_none(f"void f() {{\n  {call};\n}}\n", "jet/base/a_test.cc")

        self.expect_fault("jet/base/a.cc:4: exit", "#if A\n#include <cstdlib>\n#else\nvoid f() { exit(1); }\n#endif\n")

    def test_names_that_only_look_like_it(self):
        for fine in ("world.abort(2)", "w->exit()", "World::abort(2)", "print(last)", "x.exit_code()",
                     "// std::exit(1)", 'throw Error("call exit(1)")', "int exit = 1"):
            self.expect_none(f"void f() {{\n  {fine};\n}}\n")
        self.expect_none("struct World {\n  virtual void abort(int code);\n};\nvoid World::abort(int) {}\n")

    def test_json_is_made_in_one_place(self):
        for name in ("jet/base/a.cc", "jet/cli/a.cc"):
            self.expect_fault(f"{name}:1: dump throws", "void f(Json j) { g(j.dump(2)); }\n", name)
        self.expect_none("void f(Json j) { g(j.dump(2)); }\n", "jet/base/json.cc")
        self.expect_none("void f(Json j) { dump(j); }\n")

    def test_functions_are_short(self):
        self.expect_none(function(60))
        self.expect_fault("jet/base/a.cc:2: f has 61 lines", "\n" + function(61))
        self.expect_fault("S<T>::f has 62 lines", function(61, head="template <class T>\nint S<T>::f"))
        self.expect_fault("operator() has 61 lines", "struct S {\n" + function(61, head="int operator()") + "};\n")
        self.expect_fault("S has 61 lines", "S::S() : a_(1), b_{2} {\n" + "  f();\n" * 59 + "}\n")
        self.expect_fault("TEST has 61 lines", "TEST(A, B) {\n" + "  f();\n" * 59 + "}\n", "jet/base/a_test.cc")
        branches = "#if A\nint f() {\n#else\nint f(int) {\n#endif\n" + "  g();\n" * 57 + "}\n"
        self.expect_fault("f has 62 lines", branches)
        self.expect_none("namespace a {\nstruct S {\n" + "  int f() { return '}'; }\n" * 70 + "};\n}\n")
        self.expect_none("const std::vector<int> kTable = {\n" + "  1,\n" * 70 + "};\n")

    def test_functions_have_few_parameters(self):
        self.expect_none(function(3, 6))
        self.expect_fault("f has 7 parameters", function(3, 7))
        self.expect_fault("f has 7 parameters", function(3, 7, head="template <class T, class U>\nint f"))
        self.expect_none(function(3, 7), "jet/kernels/a.h")
        self.expect_none("int f(std::function<void(int, int)> a, int b = g(1, 2, 3), int c = h(4, 5)) { return 1; }\n")

    def test_python(self):
        self.expect_none("class A:\n    def f(self, a, b, c, d, e, f):\n        pass\n", "tools/a.py")
        self.expect_fault("f has 7 parameters", "def f(a, b, c, d, e, f, g):\n    pass\n", "tools/a.py")
        self.expect_fault("tools/a.py:1: f has 61 lines", "def f():\n" + "    g()\n" * 60, "tools/a.py")


if __name__ == "__main__":
    unittest.main()
