#!/usr/bin/env python3
"""Builds small trees, each with one fault, and sees that check_floors.py names it."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parent / "check_floors.py"
FLOORS = """# a small building
base   :
tensor : base
train  : tensor base
engine : tensor base
cli    : train engine tensor base
"""
SOUND = {
    "jet/base/error.h": "#include <string>\n",
    "jet/tensor/shape.h": '#include "jet/base/error.h"\n#include "jet/tensor/dtype.h"\n',
    "jet/train/ops.cc": "#include <torch/torch.h>\n#include <ATen/ATen.h>\n",
    "jet/cli/train_main.cc": "#include <torch/torch.h>\n",
}


class CheckFloors(unittest.TestCase):
    def run_tool(self, files=None, floors=FLOORS, *options):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {**SOUND, **(files or {}), "FLOORS": floors}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            done = subprocess.run([sys.executable, TOOL, "--root", folder, *options], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

    def expect_fault(self, text, files=None, floors=FLOORS):
        code, output = self.run_tool(files, floors)
        self.assertEqual(code, 1, output)
        self.assertIn(text, output)
        self.assertEqual(len(output.splitlines()), 1, "one fault, one line")

    def test_sound_tree_passes(self):
        code, output = self.run_tool()
        self.assertEqual(code, 0, output)

    def test_upward_edge(self):
        self.expect_fault("jet/base/a.cc:2: includes jet/tensor/shape.h",
                          {"jet/base/a.cc": '// a\n  #  include "jet/tensor/shape.h"\n'})

    def test_upward_edge_in_angle_brackets(self):
        self.expect_fault("jet/base/a.h:1", {"jet/base/a.h": "#include <jet/tensor/shape.h>\n"})

    def test_sideways_edge(self):
        self.expect_fault("includes jet/train/ops.h", {"jet/engine/a.cc": '#include "jet/train/ops.h"\n'})

    def test_edge_that_hides_behind_a_relative_path(self):
        self.expect_fault("write it from the root", {"jet/base/a.cc": '#include "../tensor/shape.h"\n'})

    def test_edge_to_an_unlisted_floor(self):
        self.expect_fault("FLOORS does not list attic", {"jet/cli/a.cc": '#include "jet/attic/a.h"\n'})

    def test_unlisted_folder(self):
        self.expect_fault("jet/attic: FLOORS does not list it", {"jet/attic/a.h": '#include "jet/cli/a.h"\n'})

    def test_torch_outside_training(self):
        for header in ("torch/torch.h", "ATen/ATen.h", "c10/core/Device.h"):
            self.expect_fault("torch is for", {"jet/engine/a.h": f"#include <{header}>\n"})
        self.expect_fault("torch is for", {"jet/cli/main.cc": "#include <torch/torch.h>\n"})

    def test_cycle(self):
        self.expect_fault("cycle through base tensor",
                          floors=FLOORS.replace("base   :", "base   : tensor"))

    def test_engine_and_train_stay_strangers(self):
        self.expect_fault("engine can reach train", floors=FLOORS.replace("engine :", "engine : train"))
        between = FLOORS.replace("engine :", "engine : middle") + "middle : train\n"
        self.expect_fault("engine can reach train", floors=between)

    def test_faults_of_the_list(self):
        self.expect_fault("names cellar", floors=FLOORS.replace("tensor : base", "tensor : base cellar"))
        self.expect_fault("listed twice", floors=FLOORS + "base :\n")
        self.expect_fault("not of the form", floors=FLOORS + "attic\n")

    def test_two_types_of_one_name(self):
        shape = "// a\nnamespace jet {\nstruct Shape%s {\n  int n;\n};\n}\n"
        a, b = "jet/base/a.h", "jet/tensor/b.h"
        template = shape.replace("struct", "template <class T>\nclass")
        self.expect_fault("jet/tensor/b.h:3: jet::Shape is defined in jet/base/a.h:3 too",
                          {a: shape % "", b: shape % ""})
        self.expect_fault("is defined in", {a: shape % "", b: template % ""})
        self.expect_fault("is defined in", {a: "namespace jet { enum class Shape { a }; }\n", b: shape % " : public A"})
        other_namespace = shape.replace("jet {", "jet::other {")
        without_name = shape.replace("{\nstruct", "{\nnamespace {\nstruct") + "}\n"
        for fine in (shape % "2", other_namespace % "", without_name % "", shape % "<int>",
                     "namespace jet { struct Shape; }",
                     "namespace jet {\nstruct Other {\n  struct Shape {};\n};\n}\n"):
            code, output = self.run_tool({a: shape % "", b: fine})
            self.assertEqual(code, 0, output)

    def test_two_functions_of_one_signature(self):
        function = "namespace jet {\n%sint twice(int %s) { return 2; }\n}\n"
        a, b = "jet/base/a.cc", "jet/tensor/b.cc"
        self.expect_fault("jet::twice(int) is defined in jet/base/a.cc:2 too",
                          {a: function % ("", "n"), b: function % ("inline ", "m = 1")})
        for fine in (function % ("static ", "n"), function % ("", "n, int m"),
                     "namespace jet {\nint twice(int n);\n}\n",
                     "namespace jet {\nint S::twice(int n) { return n; }\n}\n"):
            code, output = self.run_tool({a: function % ("", "n"), b: fine})
            self.assertEqual(code, 0, output)

    def test_picture(self):
        code, output = self.run_tool(None, FLOORS, "--picture")
        self.assertEqual(code, 0, output)
        rows = output.splitlines()
        self.assertEqual([row[0] for row in rows], list("3210"))
        self.assertIn("train>tensor  engine>tensor", rows[1])


if __name__ == "__main__":
    unittest.main()
