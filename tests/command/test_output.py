import json
import subprocess
import sys

import pytest

from jaxae.command import output

PROGRAM = "import os, warnings; from jaxae import command; command.run_main(lambda: ({body}))"
PRINT = "print('28×28 \\udcff'), warnings.warn('×')"
FULL = "error: no space left on device at standard output; free some space there or name another directory\n"


@pytest.mark.parametrize(
    ("shell", "body", "status", "out", "err"),
    [
        ("", PRINT, 0, "28×28 \\udcff\n", "warning: ×\n"),
        ("PYTHONIOENCODING=ascii", PRINT, 0, "28\\xd728 \\udcff\n", "warning: \\xd7\n"),
        (">&-", PRINT, 0, "", "warning: ×\n"),
        (">&- 2>&-", f"{PRINT}, exit(os.path.exists('/proc/self/fd/2') - 1)", 0, "", ""),
        ("2>/dev/full", PRINT, 0, "28×28 \\udcff\n", ""),
        (">/dev/full", PRINT, 2, "", "warning: ×\n" + FULL),
        (">/dev/full", "print('x' * 100_000)", 2, "", FULL),
        ("| true", "[print('x' * 1000) for _ in range(10_000)]", 141, "", ""),
        ("2>&1 | true", "[warnings.warn(f'{n}' * 1000) for n in range(10_000)]", 0, "", ""),
        ("| (sleep 0.3; wc -c)", "os.set_blocking(1, False), print('x' * 1_000_000)", 0, "1000001\n", ""),
    ],
)
def test_whatever_the_output_is_there_is_no_traceback(shell, body, status, out, err):
    variables, redirections = (shell, "") if "=" in shell else ("", shell)
    program = PROGRAM.format(body=body).replace("'", '"')
    line = f"{variables} {sys.executable} -c '{program}' {redirections}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(line, shell=True, executable="/bin/bash", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)


def test_a_table_shows_brackets_as_they_are(capsys):
    output.print_table("a [b] title", {"name": ["x[1].png", "[red]"], "PSNR [dB]": ["1.00", "20.00"]}, {("name", 1)})
    printed = capsys.readouterr().out
    for text in ("a [b] title", "x[1].png", "[red]", "PSNR [dB]", " 1.00 ", "20.00"):
        assert text in printed


def test_json_is_read_back(capsys):
    value = {"rows": [1, 2.5, None, "text"]}
    output.print_json(value)
    assert json.loads(capsys.readouterr().out) == value
