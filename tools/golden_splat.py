#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders small scenes with automatic differentiation and writes values and gradients for tests/splat/golden_test.cpp.

usage: golden_splat.py [FILE]      default: tests/splat/golden/autograd.safetensors of this project

Needs PyTorch (any build with a CPU backend). Everything is float64. It follows the definitions of the rasterizer's
documentation and shares nothing with the library: no derivative is written down here. Jacobians of the projection are
taken by autograd and differentiated again, every Gaussian meets every pixel. The same file results on every run.

The gradients are those of sum_i sin(1 + 0.37 i + 5 k) out_k[i] over the outputs k = 0 image, 1 depth, 2 transmittance,
i counting row-major.
"""
import json
import math
import pathlib
import struct
import sys

import torch

F = torch.float64
HEIGHT, WIDTH = 14, 20
NEAR, LOW_PASS, MARGIN, ALPHA_MAX, ALPHA_CUT, STOP, MIP_FLOOR = 0.2, 0.3, 0.3, 0.99, 1 / 255, 1e-4, 0.005


# ---------------------------------------------------------------------------------------------------- cameras
def bend(k, x, y):
    """opencv: k holds k1 k2 p1 p2 k3 k4 k5 k6."""
    r2 = x**2 + y**2
    radial = (1 + k[0] * r2 + k[1] * r2**2 + k[4] * r2**3) / (1 + k[5] * r2 + k[6] * r2**2 + k[7] * r2**3)
    return (
        x * radial + 2 * k[2] * x * y + k[3] * (r2 + 2 * x**2),
        y * radial + k[2] * (r2 + 2 * y**2) + 2 * k[3] * x * y,
    )


def pixels(model, intrinsics, p):
    """u, v of the points p [N,3] of the camera frame; intrinsics [12]."""
    fx, fy, cx, cy = intrinsics[:4]
    k = intrinsics[4:]
    x, y, z = p.unbind(1)
    if model == "orthographic":
        return fx * x + cx, fy * y + cy
    if model == "fisheye":
        r = torch.sqrt(x**2 + y**2)
        angle = torch.atan2(r, z)
        bent = angle * (1 + k[0] * angle**2 + k[1] * angle**4 + k[2] * angle**6 + k[3] * angle**8)
        return fx * bent * x / r + cx, fy * bent * y / r + cy
    a, b = x / z, y / z
    if model == "opencv":
        a, b = bend(k, a, b)
    return fx * a + cx, fy * b + cy


def limits(model, intrinsics):
    """low and high limit of x/z and of y/z for the Jacobian; plain numbers, so no gradient passes."""
    i = intrinsics.detach().tolist()
    x = [(0 - i[2]) / i[0], (WIDTH - i[2]) / i[0]]
    y = [(0 - i[3]) / i[1], (HEIGHT - i[3]) / i[1]]
    if model == "opencv":
        found = []
        for n in range(9):
            on_x, on_y = x[0] + (x[1] - x[0]) * n / 8, y[0] + (y[1] - y[0]) * n / 8
            for wanted in ((on_x, y[0]), (on_x, y[1]), (x[0], on_y), (x[1], on_y)):
                a, b = wanted
                for _ in range(300):
                    at = bend(i[4:], a, b)
                    a, b = a + wanted[0] - at[0], b + wanted[1] - at[1]
                found.append((a, b))
        x, y = [f[0] for f in found], [f[1] for f in found]
    mx, my = MARGIN * (max(x) - min(x)) / 2, MARGIN * (max(y) - min(y)) / 2
    return min(x) - mx, max(x) + mx, min(y) - my, max(y) + my


def project(model, intrinsics, p):
    """u, v at p and the Jacobian [N,2,3] at the clamped point, still differentiable."""
    u, v = pixels(model, intrinsics, p)
    q = p * 1
    if model in ("pinhole", "opencv"):
        low_x, high_x, low_y, high_y = limits(model, intrinsics)
        x, y, z = p.unbind(1)
        q = torch.stack((z * torch.clamp(x / z, low_x, high_x), z * torch.clamp(y / z, low_y, high_y), z), 1)
    at = pixels(model, intrinsics, q)
    rows = [torch.autograd.grad(c.sum(), q, create_graph=True)[0] for c in at]
    return u, v, torch.stack(rows, 1)


# ---------------------------------------------------------------------------------------------------- Gaussians
def rotation(q):
    w, x, y, z = (q / q.norm(dim=1, keepdim=True)).unbind(1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(r, 1) for r in rows], 1)


def harmonics(degree, d):
    """Real spherical harmonics of the unit vectors d [N,3] by the associated Legendre functions' recurrence."""
    x, y, z = d.unbind(1)
    # P_l^m / sin^m with the phase (-1)^m; the sine goes into (x + iy)^m.
    legendre = {}
    for m in range(degree + 1):
        legendre[m, m] = torch.full_like(z, (-1) ** m * math.prod(range(1, 2 * m, 2)))
        if m < degree:
            legendre[m + 1, m] = z * (2 * m + 1) * legendre[m, m]
        for l in range(m + 2, degree + 1):
            legendre[l, m] = (z * (2 * l - 1) * legendre[l - 1, m] - (l + m - 1) * legendre[l - 2, m]) / (l - m)
    re, im = [torch.ones_like(x)], [torch.zeros_like(x)]
    for m in range(degree):
        re.append(re[m] * x - im[m] * y)
        im.append(re[m] * y + im[m] * x)
    out = []
    for l in range(degree + 1):
        for m in range(-l, l + 1):
            a = abs(m)
            scale = math.sqrt((2 * l + 1) / (4 * math.pi) * math.factorial(l - a) / math.factorial(l + a))
            out.append(scale * legendre[l, a] * (1 if m == 0 else math.sqrt(2)) * (re[a] if m >= 0 else im[a]))
    return torch.stack(out, 1)


def colours_seen(degree, colours, means, pose):
    if degree < 0:
        return colours
    away = means + pose[9:] @ pose[:9].reshape(3, 3)  # mean - centre, the centre is -R^T t
    basis = harmonics(degree, away / away.norm(dim=1, keepdim=True))
    count = 3 * (degree + 1) ** 2
    coefficients = colours[:, :count].reshape(len(means), -1, 3)
    rgb = torch.clamp((basis[:, :, None] * coefficients).sum(1) + 0.5, min=0)
    return torch.cat((rgb, colours[:, count:]), 1)


# ---------------------------------------------------------------------------------------------------- image
def render_view(case, view, s):
    pose, intrinsics = s["poses"][view], s["intrinsics"][view]
    turn = pose[:9].reshape(3, 3)
    p = s["means"] @ turn.T + pose[9:]
    front = torch.nonzero(p[:, 2].detach() > NEAR)[:, 0]
    order = front[torch.argsort(p[front, 2].detach(), stable=True)]
    p = p[order]
    u, v, jacobian = project(case["models"][view], intrinsics, p)
    axes = rotation(s["rotations"][order]) * s["scales"][order][:, None, :]
    flat = jacobian @ turn @ axes
    cov = flat @ flat.transpose(1, 2)
    sharp = cov[:, 0, 0] * cov[:, 1, 1] - cov[:, 0, 1] ** 2
    a, b, c = cov[:, 0, 0] + LOW_PASS, cov[:, 0, 1], cov[:, 1, 1] + LOW_PASS
    det = a * c - b**2
    opacity = s["opacities"][order]
    if case["mip"]:
        opacity = opacity * torch.clamp(torch.sqrt(sharp / det), min=MIP_FLOOR)
    colours = colours_seen(case["sh"], s["colours"], s["means"], pose)[order]

    py, px = torch.meshgrid(torch.arange(HEIGHT, dtype=F) + 0.5, torch.arange(WIDTH, dtype=F) + 0.5, indexing="ij")
    left = torch.ones_like(px)  # transmittance
    image = torch.zeros(HEIGHT, WIDTH, colours.shape[1], dtype=F)
    depth, done = torch.zeros_like(px), torch.zeros_like(px, dtype=torch.bool)
    for i in range(len(order)):
        dx, dy = px - u[i], py - v[i]
        power = 0.5 * (c[i] * dx**2 - 2 * b[i] * dx * dy + a[i] * dy**2) / det[i]
        alpha = torch.clamp(opacity[i] * torch.exp(-power), max=ALPHA_MAX)
        drawn = (alpha >= ALPHA_CUT) & ~done
        if case["cut_width"] > 0:
            t = torch.clamp((alpha - ALPHA_CUT) / case["cut_width"], 0, 1)
            alpha = alpha * (6 * t**5 - 15 * t**4 + 10 * t**3)
        after = left * (1 - alpha)
        ends = drawn & (after <= STOP)
        done = done | ends
        if case["exclusive"]:
            drawn = drawn & ~ends
        weight = torch.where(drawn, alpha * left, torch.zeros_like(alpha))
        image = image + weight[..., None] * colours[i]
        z = p[i, 2]
        if case["depth"] == "inverse":
            depth = depth + weight / z
        elif case["depth"] == "median":
            depth = torch.where(drawn & (left >= 0.5) & (after < 0.5), z, depth)
        else:
            depth = depth + weight * z
        left = torch.where(drawn, after, left)
    case["seen"]["stopped"] += int(done.sum())
    if case["depth"] == "expected":
        solid = 1 - left
        depth = torch.where(solid > 1e-8, depth / torch.clamp(solid, min=1e-8), torch.zeros_like(depth))
    return image + left[..., None] * s["background"][view], depth, left


def weighted(outputs):
    total = 0
    for k, x in enumerate(outputs):
        i = torch.arange(x.numel(), dtype=F).reshape(x.shape)
        total = total + (torch.sin(1 + 0.37 * i + 5 * k) * x).sum()
    return total


# ---------------------------------------------------------------------------------------------------- scenes
def scene(case, seed):
    g = torch.Generator().manual_seed(seed)
    n, views = 12, len(case["models"])
    columns = case["channels"] if case["sh"] < 0 else 3 * (case["sh"] + 1) ** 2 + case["channels"] - 3

    def draw(*shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=g, dtype=F)

    z = draw(n, low=2, high=7)
    means = torch.stack((z * draw(n, low=-0.7, high=0.7), z * draw(n, low=-0.5, high=0.5), z), 1)
    means[0, 0] = 1.4 * z[0]  # outside the image, where the clamp of the Jacobian acts
    means[1, 2] = 0.1         # in front of the near plane
    scales = draw(n, 3, low=0.15, high=0.9)
    scales[0] *= 2
    opacities = draw(n, low=0.1, high=0.98)
    # Four that cover the image one behind the other reach the cap and the stop.
    for i, opacity in zip(range(2, 6), (1.0, 0.97, 0.995, 0.9)):
        means[i, :2] *= 0.2
        scales[i] = 1 + draw(3)
        opacities[i] = opacity
    colours = draw(n, columns)
    if case["sh"] >= 0:
        colours[:, : columns - case["channels"] + 3] -= 0.5
        colours[7, 0] = -2.5  # a red below zero is clamped
    intrinsics = torch.zeros(views, 12, dtype=F)
    poses = torch.zeros(views, 12, dtype=F)
    for v, model in enumerate(case["models"]):
        f = 3.0 if model == "orthographic" else 15.0 - v
        intrinsics[v, :4] = torch.tensor([-f if v == 1 else f, 1.1 * f, 9.0 + 1.5 * v, 7.5 - v])
        if model == "opencv":
            intrinsics[v, 4:] = torch.tensor([-0.11, 0.02, 3e-3, -2e-3, 0.004, 0.02, -0.01, 0.003])
        if model == "fisheye":
            intrinsics[v, 4:8] = torch.tensor([-0.03, 0.012, -0.004, 0.0007])
        q = torch.tensor([[1.0, 0.03, 0.12, -0.05]], dtype=F) if v else torch.tensor([[1.0, 0, 0, 0]], dtype=F)
        poses[v, :9] = rotation(q)[0].reshape(9)
        poses[v, 9:] = torch.tensor([0.3, -0.2, 0.4]) * v
    values = {
        "means": means, "scales": scales, "rotations": torch.randn(n, 4, generator=g, dtype=F),
        "opacities": opacities, "colours": colours, "background": draw(views, case["channels"]),
        "poses": poses, "intrinsics": intrinsics,
    }
    return {k: v.clone().requires_grad_() for k, v in values.items()}


CASES = {
    "pinhole": dict(models=["pinhole", "pinhole"], sh=2, channels=4, mip=True, depth="expected", cut_width=0,
                    exclusive=True),
    "opencv": dict(models=["opencv", "opencv"], sh=2, channels=3, mip=False, depth="accumulated", cut_width=0.01,
                   exclusive=True),
    "fisheye": dict(models=["fisheye", "fisheye"], sh=3, channels=3, mip=True, depth="inverse", cut_width=0,
                    exclusive=True),
    "mixed": dict(models=["orthographic", "fisheye", "opencv"], sh=-1, channels=2, mip=False, depth="median",
                  cut_width=0, exclusive=False),
}


def write(path, tensors):
    """The safetensors format: length, JSON, bytes."""
    header, data = {"__metadata__": {"made_by": "tools/golden_splat.py"}}, b""
    for name in sorted(tensors):
        t = tensors[name].detach().contiguous()
        raw = struct.pack(f"<{t.numel()}d", *t.reshape(-1).tolist())
        header[name] = {"dtype": "F64", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "tests/splat/golden/autograd.safetensors"
    torch.set_num_threads(1)  # one order of summation
    tensors = {}
    for seed, (name, case) in enumerate(CASES.items()):
        case["seen"] = {"stopped": 0}
        s = scene(case, seed)
        views = [render_view(case, v, s) for v in range(len(case["models"]))]
        outputs = [torch.stack(x) for x in zip(*views)]
        weighted(outputs).backward()
        for key, x in zip(("image", "depth", "transmittance"), outputs):
            tensors[f"{name}.{key}"] = x
        for key, x in s.items():
            tensors[f"{name}.{key}"] = x
            tensors[f"{name}.d_{key}"] = x.grad
            if not torch.isfinite(x.grad).all():
                sys.exit(f"golden_splat: the gradient of {name}.{key} is not finite")
        print(f"{name}: {case['seen']['stopped']} pixels stopped, T from {float(outputs[2].detach().min()):.2e}")
    write(path, tensors)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
