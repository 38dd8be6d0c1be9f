#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The layer check must find every kind of planted mistake, and accept what is allowed."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
sys.dont_write_bytecode = True
import check_layers  # noqa: E402


class Layers(unittest.TestCase):
    def problems(self, **headers):
        """Checks a tree given as path -> list of included names (or whole text); returns the problems."""
        with tempfile.TemporaryDirectory() as root:
            for name, includes in headers["tree"].items():
                path = pathlib.Path(root) / ("" if name.startswith("tests/") else "include/sqs") / name
                path.parent.mkdir(parents=True, exist_ok=True)
                text = includes if isinstance(includes, str) else "".join(f"#include <{i}>\n" for i in includes)
                path.write_text(text)
            return check_layers.check(root)[0]

    def one(self, tree, *parts):
        found = self.problems(tree=tree)
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])

    def test_downward_edges_are_fine(self):
        self.assertEqual(self.problems(tree={
            "core/math.hpp": ["cmath"],
            "core.hpp": ["sqs/core/math.hpp"],
            "geometry/se3.hpp": ["sqs/core/math.hpp"],
            "nn/linear.hpp": ["sqs/core/math.hpp", "vector"],
            "data/loader.hpp": ["thread", "nlohmann/json.hpp"],
            "sqs.hpp": ["sqs/core.hpp", "sqs/nn/linear.hpp"],
        }), [])

    def test_upward_edge(self):
        self.one({"core/a.hpp": ["sqs/nn/b.hpp"], "nn/b.hpp": []}, "sqs/core/a.hpp (layer 0)", "upward edge")

    def test_upward_edge_from_an_umbrella(self):
        self.one({"core.hpp": ["sqs/nn/b.hpp"], "nn/b.hpp": []}, "sqs/core.hpp", "upward edge")

    def test_sideways_edge(self):
        self.one({"memory/a.hpp": ["sqs/geometry/b.hpp"], "geometry/b.hpp": []}, "same layer 1")

    def test_cycle_inside_a_folder(self):
        self.one({"core/a.hpp": ["sqs/core/b.hpp"], "core/b.hpp": ["sqs/core/a.hpp"]},
                 "cycle: core/a.hpp -> core/b.hpp -> core/a.hpp")

    def test_host_header_includes_device_header(self):
        self.one({"exec/a.hpp": ["sqs/exec/cuda/b.cuh"], "exec/cuda/b.cuh": []}, "compiles without nvcc")

    def test_foreign_detail(self):
        self.one({"nn/a.hpp": ["sqs/exec/detail/b.hpp"], "exec/detail/b.hpp": []}, "from outside sqs/exec")

    def test_stage_may_use_upstream_vocabulary_only(self):
        vocabulary = "// no executor here\ntemplate <class T> struct query_set {};\n"
        op = "template <executor E> void forward(E& e);\n"
        self.assertEqual(self.problems(tree={"splat/a.hpp": ["sqs/query/set.hpp"], "query/set.hpp": vocabulary}), [])
        self.one({"splat/a.hpp": ["sqs/query/op.hpp"], "query/op.hpp": op}, "not vocabulary")

    def test_relative_include(self):
        self.one({"core/a.hpp": '#include "b.hpp"\n'}, "never a relative path")

    def test_missing_header(self):
        self.one({"core/a.hpp": ["sqs/core/b.hpp"]}, "does not exist")

    def test_unknown_folder(self):
        self.one({"misc/a.hpp": []}, "in no layer")

    def test_seams(self):
        self.one({"nn/a.hpp": ["Eigen/Core"]}, "outside its seam")
        self.one({"query/a.hpp": ["jpeglib.h"]}, "outside its seam")
        self.one({"core/a.hpp": ["thread"]}, "outside its seam")
        self.one({"exec/a.hpp": ["cuda_runtime.h"]}, "outside its seam")
        self.one({"core/a.hpp": ["fmt/format.h"]}, "never in the library")

    def test_temporary_files_of_tests(self):
        self.assertEqual(self.problems(tree={"tests/support/scratch.hpp": "std::filesystem::temp_directory_path();",
                                             "tests/core/a_test.cpp": "const sqs::test::scratch_folder folder;"}), [])
        for planted in ("testing::TempDir()", "fs::temp_directory_path()"):
            self.one({"tests/core/a_test.cpp": f'const auto path = {planted} / "x";'}, "tests/core/a_test.cpp", "scratch.hpp")


if __name__ == "__main__":
    unittest.main()
