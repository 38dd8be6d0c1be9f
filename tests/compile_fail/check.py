#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: check.py FILE COMPILER [FLAGS...]

FILE announces its compiler message in lines `// expected-error: <regex>`. It must not compile, and every regex must match
the compiler's output. With -DSQS_GOOD it must compile: so it fails for the announced reason and not for a missing
header or a typing error.
"""
import re
import subprocess
import sys


def check(file, compiler):
    """None if the file behaves as announced, else what is wrong."""
    with open(file, encoding="utf-8") as f:
        expected = re.findall(r"^// expected-error: (.+?)\s*$", f.read(), re.MULTILINE)
    if not expected:
        return "announces no `// expected-error: <regex>`"
    good = subprocess.run(compiler + ["-fsyntax-only", "-DSQS_GOOD", file], capture_output=True, text=True)
    if good.returncode != 0:
        return "does not compile even with -DSQS_GOOD, so its failure proves nothing:\n" + good.stderr
    bad = subprocess.run(compiler + ["-fsyntax-only", file], capture_output=True, text=True)
    if bad.returncode == 0:
        return "compiles, but must not"
    for regex in expected:
        if not re.search(regex, bad.stderr):
            return f"fails without the announced message `{regex}`:\n{bad.stderr}"
    return None


if __name__ == "__main__":
    problem = check(sys.argv[1], sys.argv[2:])
    if problem:
        print(f"{sys.argv[1]}: {problem}")
    sys.exit(1 if problem else 0)
