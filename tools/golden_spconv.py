#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs spconv's layers on small sets of voxels and writes values and gradients for tests/sparse/golden_test.cpp.

usage: golden_spconv.py [FILE]      default: tests/sparse/golden/spconv.safetensors of this project

Needs PyTorch and spconv (the CPU wheel will do; its native algorithm is used). Float32. Output rows are written in ascending
order of their coordinates, inputs as they were given. Gradients are those of sum_i y[i] cos(1 + 0.37 i), i counting row-major
in that order. The same file results on every run.
"""
import json
import pathlib
import struct
import sys

import numpy as np
import spconv.pytorch as spconv
import spconv.pytorch.ops as spconv_ops
import torch

spconv_ops.get_current_stream = lambda: 0  # its backward pass asks for a CUDA stream even on the CPU

GRID, BATCHES, POINTS, IN, OUT = (9, 8, 7), 2, 90, 3, 5
ALGO = spconv.ConvAlgo.Native

CASES = {  # name: (kind, kernel, stride, padding, dilation)
    "submanifold_333": ("SubMConv3d", (3, 3, 3), 1, 1, 1),
    "submanifold_555": ("SubMConv3d", (5, 5, 5), 1, 2, 1),
    "submanifold_331": ("SubMConv3d", (3, 3, 1), 1, 1, 1),
    "submanifold_dilated": ("SubMConv3d", (3, 3, 3), 1, 2, 2),
    "submanifold_111": ("SubMConv3d", (1, 1, 1), 1, 0, 1),
    "regular_333": ("SparseConv3d", (3, 3, 3), 1, 1, 1),
    "strided_333": ("SparseConv3d", (3, 3, 3), 2, 1, 1),
    "strided_222": ("SparseConv3d", (2, 2, 2), 2, 0, 1),
    "strided_351": ("SparseConv3d", (3, 5, 1), (2, 1, 1), (0, 2, 0), 1),
    "transposed_333": ("SparseConvTranspose3d", (3, 3, 3), 2, 1, 1),
    "transposed_222": ("SparseConvTranspose3d", (2, 2, 2), 2, 0, 1),
    "inverse_333": ("SparseInverseConv3d", (3, 3, 3), 2, 1, 1),
    "max_pool_222": ("SparseMaxPool3d", (2, 2, 2), 2, 0, 1),
    "max_pool_333": ("SparseMaxPool3d", (3, 3, 3), 2, 1, 1),
}


def voxels(rng):
    cells = rng.choice(BATCHES * int(np.prod(GRID)), POINTS, replace=False)
    b, rest = np.divmod(cells, int(np.prod(GRID)))
    x, rest = np.divmod(rest, GRID[1] * GRID[2])
    y, z = np.divmod(rest, GRID[2])
    return np.stack([b, x, y, z], 1).astype(np.int32)


def run(kind, kernel, stride, padding, dilation, out):
    torch.manual_seed(7)
    rng = np.random.default_rng(11)
    at = voxels(rng)
    x = torch.from_numpy(rng.uniform(-1, 1, (POINTS, IN)).astype(np.float32)).requires_grad_()
    sparse = spconv.SparseConvTensor(x, torch.from_numpy(at), list(GRID), BATCHES)
    layers, weights = [], []
    if kind == "SparseMaxPool3d":
        layers = [spconv.SparseMaxPool3d(kernel, stride, padding, dilation, algo=ALGO)]
    elif kind == "SparseInverseConv3d":
        layers = [
            spconv.SparseConv3d(IN, 4, kernel, stride, padding, dilation, bias=False, indice_key="a", algo=ALGO),
            spconv.SparseInverseConv3d(4, OUT, kernel, indice_key="a", bias=False, algo=ALGO),
        ]
    else:
        layers = [getattr(spconv, kind)(IN, OUT, kernel, stride, padding, dilation, bias=False, algo=ALGO)]
    y = sparse
    for layer in layers:
        if hasattr(layer, "weight") and layer.weight is not None:
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(rng.uniform(-1, 1, tuple(layer.weight.shape)).astype(np.float32)))
            weights.append(layer.weight)
        y = layer(y)
    where = y.indices.numpy()
    order = np.lexsort(where.T[::-1])
    value = y.features[torch.from_numpy(order)]
    ramp = torch.cos(1 + 0.37 * torch.arange(value.numel(), dtype=torch.float64)).float().reshape(value.shape)
    (value * ramp).sum().backward()
    out["at"], out["x"] = at, x.detach().numpy()
    out["grid_out"] = np.array(y.spatial_shape, np.int32)
    out["at_out"], out["y"], out["dx"] = where[order].astype(np.int32), value.detach().numpy(), x.grad.numpy()
    for i, w in enumerate(weights):
        out[f"w{i}"], out[f"dw{i}"] = w.detach().numpy(), w.grad.numpy()
    out["geometry"] = np.array(
        [np.broadcast_to(v, 3) for v in (kernel, stride, padding, dilation)], np.int32)


def write(path, tensors, notes):
    names = {np.dtype(np.float32): "F32", np.dtype(np.int32): "I32"}
    head, data = {"__metadata__": notes}, b""
    for name, t in tensors.items():
        raw = np.ascontiguousarray(t).tobytes()
        head[name] = {"dtype": names[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "tests/sparse/golden/spconv.safetensors"
    tensors = {}
    for name, case in CASES.items():
        out = {}
        run(*case, out)
        tensors.update({f"{name}/{k}": v for k, v in out.items()})
        print(f"{name}: {out['y'].shape[0]} rows, weights {[out[k].shape for k in out if k[0] == 'w']}")
    path.parent.mkdir(parents=True, exist_ok=True)
    import spconv as package
    write(path, tensors, {"made_by": "tools/golden_spconv.py", "spconv": package.__version__})
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
