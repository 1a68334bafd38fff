"""What `benchmarks/gpu_compile.py` reads off a compiled program, and a program that it compiles."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_compile, hlo

ROOT = Path(__file__).parents[2]
HAS_COMPILER = importlib.util.find_spec("jax_cuda13_plugin") is not None

PROGRAM = """HloModule jit_train_epoch

%scaled (p.0: f32[60000,4], p.1: s32[2]) -> f32[2,4] {
  %p.0 = f32[60000,4]{1,0} parameter(0)
  %p.1 = s32[2]{0} parameter(1)
  ROOT %gather = f32[2,4]{1,0} gather(%p.0, %p.1), offset_dims={1}, slice_sizes={1,4}
}

%moved (p.2: bf16[2,4]) -> bf16[4,2] {
  %p.2 = bf16[2,4]{1,0} parameter(0)
  ROOT %transpose = bf16[4,2]{1,0} transpose(%p.2), dimensions={1,0}
}

%stored (p.3: f32[468], p.4: f32[1], p.5: s32[]) -> f32[468] {
  %p.3 = f32[468]{0} parameter(0)
  %p.4 = f32[1]{0} parameter(1)
  %p.5 = s32[] parameter(2)
  ROOT %update = f32[468]{0} dynamic-update-slice(%p.3, %p.4, %p.5)
}

%product (p.6: f32[2,4], p.7: f32[4,3]) -> f32[2,3] {
  %p.6 = f32[2,4]{1,0} parameter(0)
  %p.7 = f32[4,3]{1,0} parameter(1)
  ROOT %dot = f32[2,3]{1,0} dot(%p.6, %p.7), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%part (t.1: (f32[4])) -> (f32[4]) {
  %t.1 = (f32[4]{0}) parameter(0)
  %g.1 = f32[4]{0} get-tuple-element(%t.1), index=0
  %copy.1 = f32[4]{0} copy(%g.1)
  ROOT %tuple.1 = (f32[4]{0}) tuple(%copy.1)
}

%step (t.2: (f32[60000,4], s32[2], bf16[2,4], f32[468], f32[4])) -> (f32[4]) {
  %t.2 = (f32[60000,4]{1,0}, s32[2]{0}, bf16[2,4]{1,0}, f32[468]{0}, /*index=4*/f32[4]{0}) parameter(0)
  %g.2 = f32[60000,4]{1,0} get-tuple-element(%t.2), index=0
  %g.3 = s32[2]{0} get-tuple-element(%t.2), index=1
  %noisy = f32[2,4]{1,0} fusion(%g.2, %g.3), kind=kLoop, calls=%scaled
  %turned = bf16[4,2]{1,0} fusion(%g.2), kind=kInput, calls=%moved
  %conv = (f32[2,8]{1,0}, u8[0]{0}) custom-call(%noisy, %turned), custom_call_target="__cudnn$convForward"
  %gemm = f32[2,8]{1,0} custom-call(%noisy, %noisy), custom_call_target="__cublas$lt$matmul"
  %triton = f32[2,3]{1,0} fusion(%noisy, %g.2), kind=kCustom, calls=%product
  %losses = f32[468]{0} fusion(%g.2, %noisy, %g.3), kind=kLoop, calls=%stored
  %parts = (f32[4]{0}) while(%t.1), body=%part, backend_config={"known_trip_count":{"n":"3"}}
  %sorted = f32[4]{0} sort(%losses), dimensions={0}
  ROOT %tuple.2 = (f32[4]{0}) tuple(%sorted)
}

%step_condition (t.3: (f32[4])) -> pred[] {
  ROOT %lt = pred[] compare(%a, %b), direction=LT
}

ENTRY %main (x: f32[4]) -> (f32[4]) {
  %copy.9 = f32[4]{0} copy(%x)
  ROOT %while = (f32[4]) while(%t), body=%step, backend_config={"known_trip_count":{"n":"468"}}
}
"""


def test_kernels_of_a_step_by_kind_with_the_bytes_they_touch():
    kernels = {kernel.name: tuple(kernel[1:]) for kernel in hlo.kernels(PROGRAM, 468)}
    assert kernels == {
        "noisy": ("fusions", 2 * 4 * 4 + 8, 2 * 4 * 4),  # gathers 2 rows of 60,000, by two indices
        "turned": ("copies", 2 * 4 * 2, 2 * 4 * 2),
        "conv": ("convolutions", 2 * 4 * 4 + 4 * 2 * 2, 2 * 8 * 4),
        "gemm": ("products", 2 * 2 * 4 * 4, 2 * 8 * 4),
        "triton": ("products", 2 * 4 * 4 + 4 * 3 * 4, 2 * 3 * 4),
        "losses": ("fusions", 4 + 4, 4),  # stores one number of 468, in place
        "copy.1": ("copies", 16, 16),
        "sorted": ("other", 468 * 4, 16),
    }


def test_counts_and_bounds_of_a_step():
    found = gpu_compile.counts_and_bounds(PROGRAM, 468)
    assert found["kernels"] == 10  # the loop inside runs three times, what is outside of the steps not at all
    counts = {kind: found[kind] for kind in hlo.KINDS}
    assert counts == {"convolutions": 1, "products": 2, "fusions": 2, "copies": 4, "other": 1}
    assert found["launch_us"] == found["bound_us"] == pytest.approx(25)  # no kernel has bytes enough to take longer
    assert found["grouped_convolutions"] == 0
    for groups, count in ((1, 0), (32, 1)):
        text = PROGRAM.replace('convForward"', f'convForward", feature_group_count={groups}')
        assert gpu_compile.counts_and_bounds(text, 468)["grouped_convolutions"] == count


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"known_trip_count":{"n":"3"}', "", "a loop of unknown length: parts"),
        ('"n":"468"', '"n":"390"', "0 loops in the program run 468 times"),
        ("bf16[2,4]{1,0} parameter", "f8e4m3[2,4]{1,0} parameter", "an unknown kind of number: f8e4m3"),
    ],
)
def test_what_it_cannot_read_is_an_error(old, new, message):
    with pytest.raises(ValueError, match=message):
        gpu_compile.counts_and_bounds(PROGRAM.replace(old, new), 468)


def test_without_the_compiler_it_says_what_to_install(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'jax_cuda13_plugin' else find(name, *a)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "benchmarks.gpu_compile"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "the compiler for GPUs is not installed: pip install 'jax[cuda13]>=0.12'\n"


@pytest.mark.skipif(not HAS_COMPILER, reason="JAX's CUDA plugin is not installed: pip install 'jax[cuda13]>=0.12'")
def test_compiles_an_epoch_for_a_gpu_that_is_not_there(tmp_path):
    out = tmp_path / "out.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu_compile",
        "--networks",
        "cifar",
        "--backends",
        "xla",
        "--precisions",
    ]
    command += ["float32", "--batch-sizes", "128", "--ensemble-backends", "--json", out]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, check=True, capture_output=True)
    result = json.loads(out.read_text())
    (row,) = result["rows"]
    assert result["target"] == "NVIDIA H100 SXM, compiled for and not run on"
    assert row["result"] == "compiled, not run"
    assert row["convolutions"] == 11  # four layers: outputs, gradients of kernels, and of all inputs but the first
    assert row["kernels"] == sum(row[kind] for kind in ("convolutions", "products", "fusions", "copies", "other"))
    assert row["kernels"] <= 45
    assert row["launch_us"] == pytest.approx(2.5 * row["kernels"])
    # 7.36 million operations an image, at 495 · 10¹² a second
    assert row["flops_us"] == pytest.approx(7.36e6 * 128 / 495e6, rel=0.01)
    # at least the noisy batch of 32×32×3 written once and read once, and no more than thirty times all activations
    images = 128 * 32 * 32 * 3 * 4
    assert 2 * images < (row["read_mib"] + row["written_mib"]) * 2**20 < 30 * 3 * images
