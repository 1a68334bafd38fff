"""Run snippets of documentation, one after another in one process, which imports and compiles once for all of them.

A program: reads a JSON list of [page, language, text] from standard input and prints one of what went wrong. What
shares no process with others, such as commands with devices of their own, goes to a shell.
"""

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
import traceback

from tests.server import run_module

ELSEWHERE = ("pip ", "git ", "make ")  # what installs is not run again
APART = ("--devices", "--parallel")


def shortened(line: str) -> str:
    """A command on few images, one that trains for one epoch where it names no number, with what compiles soonest.

    One that resumes takes all that from its run.
    """
    if "jaxae.baselines" in line:
        return re.sub(r"images \d+", "images 4", line)
    if "--resume" in line or not re.search(r"jaxae\.(experiments\.\w+|torch_weights import)", line):
        return line
    few = f" --data.limit {256 if '--data.validation' in line else 128} --train.backend xla"
    few += "" if "--train.epochs" in line else " --train.epochs 1"
    few += "" if "--data.name" in line else f" --data.name {'photo_patches' if 'cifar10' in line else 'digits'}_small"
    return re.sub(r"( &)?$", lambda end: few + end[0], line, count=1)


def run_shell(text: str) -> None:
    """Run the lines of `text`: commands of jaxae here, others in a shell. Raises what goes wrong."""
    joined = text.replace("\\\n", " ").splitlines()
    lines = [shortened(line.partition("  #")[0].rstrip()) for line in joined if not line.startswith(ELSEWHERE)]
    for part in ["\n".join(lines)] if "&" in text else lines:
        words = shlex.split(part)
        here = words[:2] == ["python", "-m"] and words[2].startswith("jaxae")
        if here and not any(sign in part for sign in ("\n", *APART)):
            if status := run_module(words[2], words[3:]):
                raise RuntimeError(f"status {status} of {part}")
            continue
        done = subprocess.run(["bash", "-e", "-c", part], capture_output=True, text=True, timeout=300, check=False)
        print(done.stdout, done.stderr)
        if done.returncode:
            raise RuntimeError(f"status {done.returncode} of {part}")


def run(language: str, text: str) -> str | None:
    """What went wrong, or None."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            if language == "sh":
                run_shell(text)
            else:
                exec(compile(text, "snippet", "exec"), {"__name__": "__main__"})
        except Exception:
            return f"{text}\n{said.getvalue()}\n{traceback.format_exc()}"
    return None


if __name__ == "__main__":
    wrong = [(page, run(language, text)) for page, language, text in json.load(sys.stdin)]
    print(json.dumps([f"--- {page}\n{said}" for page, said in wrong if said is not None]))
