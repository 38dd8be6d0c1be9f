#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: check_test.py COMPILER. The compile-fail check must itself fail on files that prove nothing."""
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
import check  # noqa: E402

CASES = {  # text -> what the check must say (None: accepted)
    '// expected-error: one sentence\n#ifndef SQS_GOOD\nstatic_assert(false, "one sentence");\n#endif\n': None,
    '#ifndef SQS_GOOD\nstatic_assert(false, "one sentence");\n#endif\n': "announces no",
    "// expected-error: one sentence\nint x;\n": "compiles, but must not",
    '// expected-error: one sentence\n#ifndef SQS_GOOD\nstatic_assert(false, "another");\n#endif\n': "without the announced",
    '// expected-error: one sentence\nstatic_assert(false, "one sentence");\n': "even with -DSQS_GOOD",
}

failures = 0
with tempfile.TemporaryDirectory() as folder:
    for number, (text, expected) in enumerate(CASES.items()):
        file = pathlib.Path(folder) / f"case{number}.cpp"
        file.write_text(text)
        said = check.check(str(file), [sys.argv[1], "-std=c++20"])
        if (said is None) != (expected is None) or (expected and expected not in said):
            print(f"case {number}: expected {expected!r}, got {said!r}")
            failures += 1
print(f"{len(CASES)} cases, {failures} failures")
sys.exit(1 if failures else 0)
