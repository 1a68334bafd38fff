"""What `benchmarks/tpu_compile.py` reads off a compiled program, and what it says without its compiler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tpu_compile

ROOT = Path(__file__).parents[2]

PROGRAM = """HloModule jit_train_epoch

%part_body (arg: (s32[])) -> (s32[]) {
  %dot = f32[] dot(%a, %b), backend_config={"estimated_cycles":"7"}
}

%part_condition (arg: (s32[])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(4)
}

%step_body (arg: (s32[])) -> (s32[]) {
  %add = f32[] add(%a, %b), backend_config={"estimated_cycles":"100"}
  %while.1 = (s32[]) while(%t), condition=%part_condition, body=%part_body, metadata={op_name="x/while/body/while"}
}

%step_condition (arg: (s32[])) -> pred[] {
  %constant.2 = s32[] constant(390)
}

ENTRY %main (x: s32[]) -> (s32[]) {
  %copy = f32[] copy(%x), backend_config={"estimated_cycles":"5000"}
  ROOT %while.2 = (s32[]) while(%t), condition=%step_condition, body=%step_body, metadata={op_name="PATH"}
}
"""


def test_cycles_are_of_a_step_and_of_the_rest():
    assert tpu_compile.cycles(PROGRAM.replace("PATH", "jit(train_epoch)/while")) == (100 + 4 * 7, 5000)


def test_cycles_of_a_program_without_the_loop_over_steps_are_all_of_it():
    assert tpu_compile.cycles(PROGRAM.replace("PATH", "jit(f)/while")) == (5000 + 390 * (100 + 4 * 7), 0)


def test_a_loop_of_unknown_length_is_an_error():
    with pytest.raises(SystemExit, match="unknown length"):
        tpu_compile.cycles(PROGRAM.replace("constant(4)", "parameter(4)"))


def test_without_the_compiler_it_says_what_to_install(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'libtpu' else find(name, *a)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tpu_compile"], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "the compiler for TPUs is not installed: pip install libtpu\n"
