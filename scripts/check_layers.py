#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the #include lines of include/sqs against the layers of the design.

usage: check_layers.py [ROOT]      ROOT is the folder that holds include/sqs (default: this project)

Fails on: an edge to a higher layer or to another folder of the same layer; a stage that includes anything but the
vocabulary of an upstream stage; a cycle; a .hpp that includes a .cuh; a detail/ header used outside its folder; a
relative include; a third-party header outside its seam; an include of a header that does not exist; a test that
picks its own temporary file (tests run beside each other, so a fixed name is shared: tests/support/scratch.hpp).
"""
import pathlib
import re
import sys

# Lower may not include higher. Folders on one line share a layer and do not know each other.
LAYERS = [
    ["core"],
    ["memory", "geometry"],
    ["exec"],
    ["tensor"],
    ["autodiff"],
    ["nn", "optim"], ["sparse"],
    ["sensor"],
    ["backbone"],
    ["lift"],
    ["query"],
    ["gaussian"],
    ["splat"],
    ["loss"],
    ["model", "metric", "data", "language", "planning"],
    ["pipeline"],
]
STAGES = ["sensor", "backbone", "lift", "query", "gaussian", "splat", "loss"]
LEVEL = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
TOP = len(LAYERS)  # sqs.hpp and sqs.cuh: everything
ROOT_HEADERS = {"sqs.hpp": TOP, "sqs.cuh": TOP, "fwd.hpp": 0, "version.hpp": 0}

# Third-party headers, and the places (prefixes) that may include them.
SEAMS = [
    (r"Eigen/", ["exec/detail/gemm_eigen.hpp", "geometry/eigen.hpp"]),
    (r"boost/hana", ["core/reflect_hana.hpp", "gaussian/", "pipeline/"]),
    (r"(nlohmann/|simdjson|jpeglib\.h|jerror\.h|turbojpeg\.h|png\.h|zlib\.h|zip\.h)", ["tensor/", "data/", "pipeline/"]),
    (r"(tbb/|oneapi/)", ["exec/cpu.hpp"]),
    (r"thread$", ["exec/cpu.hpp", "data/loader.hpp"]),
    (r"(dnnl|oneapi/dnnl)", ["nn/detail/"]),
    (r"(mpi\.h|nccl\.h)", ["pipeline/data_parallel"]),
    (r"(CLI/|fmt/|gtest/|gmock/|benchmark/)", []),
    (r"(cuda|cub/|thrust/|cooperative_groups)", ["*.cuh"]),
]
# A vocabulary header holds types and pointwise functions: it names no executor and applies no op.
MACHINERY = re.compile(r"\bexecutor\b|\b(cpu|cuda)\s*&|\bapply\(")
OWN_TEMPORARY = re.compile(r'\b(temp_directory_path|TempDir|tmpnam|tmpfile|mkdtemp|mkstemp)\b|"/tmp/')
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def folder_of(header):
    """`splat/bin.hpp` and the umbrella `splat.hpp` both belong to splat; None for unknown folders."""
    first = header.split("/")[0]
    return first if "/" in header else first.rsplit(".", 1)[0]


def level_of(header):
    return ROOT_HEADERS.get(header, LEVEL.get(folder_of(header)))


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def check_project_edge(header, target, texts):
    if target not in texts:
        return f"includes sqs/{target}, which does not exist; check the spelling"
    if header.endswith(".hpp") and target.endswith(".cuh"):
        return f"is a .hpp and includes sqs/{target}; a .hpp compiles without nvcc: declare there, define in the .cuh"
    place = target.rsplit("/detail/", 1)[0] if "/detail/" in target else None
    if place and folder_of(header) != folder_of(target):
        return f"includes sqs/{target} from outside sqs/{place}; use a public header of that folder"
    if header in ROOT_HEADERS and level_of(header) == TOP:
        return None
    a, b = level_of(header), level_of(target)
    if folder_of(header) == folder_of(target):
        return None
    if b > a:
        return f"(layer {a}) includes sqs/{target} (layer {b}): an upward edge; move the code up or the type down"
    if b == a:
        return f"includes sqs/{target} of the same layer {a}; folders of one layer do not know each other"
    if folder_of(header) in STAGES and folder_of(target) in STAGES and MACHINERY.search(strip_comments(texts[target])):
        return f"is a stage and includes sqs/{target}, which is not vocabulary (it names an executor or applies an op)"
    return None


def check_third_party(header, target):
    for pattern, places in SEAMS:
        if re.match(pattern, target):
            allowed = any(header.startswith(p) or (p == "*.cuh" and header.endswith(".cuh")) for p in places)
            return None if allowed else f"includes <{target}> outside its seam ({', '.join(places) or 'never in the library'})"
    return None


def find_cycle(edges):
    """One cycle as a list of headers, or None. Depth-first, three colours."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for target in edges.get(node, []):
            cycle = visit(target)
            if cycle:
                return cycle
        path.pop()
        done.add(node)
        return None

    for node in sorted(edges):
        cycle = visit(node)
        if cycle:
            return cycle
    return None


def check(root):
    base = pathlib.Path(root) / "include" / "sqs"
    files = sorted(p for p in base.rglob("*") if p.suffix in (".hpp", ".cuh"))
    texts = {p.relative_to(base).as_posix(): p.read_text(encoding="utf-8") for p in files}
    problems, edges = [], {}
    for header, text in texts.items():
        if level_of(header) is None:
            problems.append(f"sqs/{header} is in no layer; add its folder to LAYERS in scripts/check_layers.py")
            continue
        for quote, target in INCLUDE.findall(text):
            if quote == '"':
                problem = f'includes "{target}"; write <sqs/...>, never a relative path'
            elif target.startswith("sqs/"):
                target = target[len("sqs/"):]
                edges.setdefault(header, []).append(target)
                problem = check_project_edge(header, target, texts) if level_of(target) is not None else \
                    f"includes sqs/{target}, which is in no layer"
            else:
                problem = check_third_party(header, target)
            if problem:
                problems.append(f"sqs/{header} {problem}")
    cycle = find_cycle(edges)
    if cycle:
        problems.append("cycle: " + " -> ".join(cycle))
    return problems + check_tests(pathlib.Path(root)), len(texts)


def check_tests(root):
    """Only the scratch folder itself may ask where temporary files go."""
    sources = sorted(p for p in (root / "tests").rglob("*") if p.suffix in (".cpp", ".hpp", ".cu", ".cuh"))
    return [f"{p.relative_to(root).as_posix()} picks its own temporary file; use tests/support/scratch.hpp"
            for p in sources if p != root / "tests/support/scratch.hpp" and OWN_TEMPORARY.search(p.read_text(encoding="utf-8"))]


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    problems, count = check(root)
    for problem in problems:
        print(problem)
    if count == 0:
        print(f"no header under {root}/include/sqs")
        return 1
    print(f"{count} headers, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
