"""Command lines and configurations."""

import json
import shutil

from hypothesis import given
from hypothesis import strategies as st

from jaxae import embed, evaluate, export
from jaxae.baselines import __main__ as baselines
from jaxae.data import __main__ as data_command
from jaxae.denoising import __main__ as denoise
from jaxae.experiments import cifar10_denoise, mnist_denoise, noise_grid, sweep
from jaxae.report import __main__ as report
from jaxae.torch_weights import __main__ as torch_weights
from tests.stress.fuzz.bench import BROKEN, JSON, VALUE, Bench, cases, damage

SENSIBLE = {
    "--noise.kind": ["gaussian", "salt,gaussian", "poisson", "none", "gausian", "gaussian,", ","],
    "--noise.factor": ["0.5", "0.5..0.1", "0.1..0.5", "0.1,0.2", "..", "1e309"],
    "--train.epochs": ["1", "3", "0"],
    "--train.batch-size": ["1", "16", "100000"],
    "--train.learning-rate": ["1e-3", "0", "-1", "inf"],
    "--train.patience": ["1", "3", "0"],
    "--train.lsuv": ["True", "False", "None", "yes"],
    "--train.reflect-padding": ["0", "2", "27", "28", "-1", "100000"],
    "--train.sigma": ["0.1", "25", "0"],
    "--train.target": ["noisy", "clean", "self", "sure", "dirty"],
    "--train.backend": ["auto", "xla", "fast"],
    "--train.precision": ["float32", "float64"],
    "--data.limit": ["1", "40", "0"],
    "--data.validation": ["0.1", "0.5", "1e-9", "0.999", "0", "1", "nan"],
    "--data.placement": ["device", "stream", "auto", "host"],
    "--import": ["json", "os.path", *BROKEN, "no.such.module", ".relative", "tests.extending.no_such"],
    "--recipe": ["plain", "fast", "slow"],
    "--network": ["auto", "mnist", "cifar", "vgg"],
    "--seed": ["0", "4294967296"],
    "--parallel": ["jit", "pmap", "threads"],
    "--devices": ["1", "0", "3", "1000"],
    "--resume": [],
    "--noise.clip": [],
    "--init-from": ["s3://a/b", "~/none", "~nobody/none", "file:///a"],
    "--no-such-option": ["1"],
}
PROGRAMS = {
    "sweep": sweep.main,
    "evaluate": evaluate.main,
    "data": data_command.main,
    "grid": noise_grid.main,
    "denoise": denoise.main,
    "embed": embed.main,
    "export": export.main,
    "report": report.main,
    "baselines": baselines.main,
    "torch_weights": torch_weights.main,
}
LISTS = ("data",)  # it may have been asked to list
WORDS = [
    *("--seeds", "0..3", "3..1", "prepare", "list", "mnist", "--from", "--data-dir", "--noise.factor", "--json"),
    *("--import", "json", *BROKEN, "--data.validation", "0.1", "--train.patience", "2", "--train.lsuv", "True"),
    *("--out", "nowhere", "import", "export", "w.npz", "w.onnx", "--checkpoint", "best", "--network", "cifar"),
    *("--overwrite", "--add-noise", "--run-dir", "--data.name", "--limit", "--resume"),
    *("--train.reflect-padding", "2", "--data.dir", "--train.epochs"),
    *("s3://bucket/x", "gs://bucket/x", "file:///x", "~/nowhere", "~nobody/x", "0..4000000000"),
]


@st.composite
def command_lines(draw):
    """Options of a run, sensible and others."""
    words = []
    for option in draw(st.lists(st.sampled_from(sorted(SENSIBLE)), max_size=4)):
        words.append(option)
        if SENSIBLE[option] and draw(st.booleans()):
            words.append(draw(st.sampled_from(SENSIBLE[option])))
        elif SENSIBLE[option] or draw(st.integers(0, 9)) == 0:
            words.append(draw(VALUE))
    return words + draw(st.one_of(st.just([]), st.just([]), st.lists(VALUE, max_size=2)))


def lines_of_a_run(bench: Bench, count: int) -> None:
    """A run's directory is there afterwards only where its command line was right."""
    with bench.kind("command lines of a run") as own:

        @cases(count)
        @given(command_lines(), st.sampled_from([mnist_denoise, cifar10_denoise]))
        def check(words, module):
            shutil.rmtree(own / "run", ignore_errors=True)
            if not {"-h", "--help"} & set(words):
                options = ("--data.name", f"folder:{bench.images}", "--run-dir", own / "run")
                status, _ = bench.run(module.main, *options, *words)
                assert (own / "run").exists() == (status == 0)

        check()
        assert bench.seen["read"] > 0 < bench.seen["refused"]


def places(bench: Bench, count: int) -> None:
    """Data sets that there are not, and odd directories."""
    with bench.kind("data sets and directories"):

        @cases(count)
        @given(st.sampled_from(["--data.name", "--run-dir", "--data.dir"]), VALUE | st.text("abc/.:-", max_size=300))
        def check(option, value):
            status, _ = bench.run(mnist_denoise.main, "--data.name", "mnist", option, value)
            assert status == 2

        check()


def lines_of_other_programs(bench: Bench, count: int) -> None:
    """Every other command, with words that some of them know."""
    with bench.kind("command lines of other programs"):

        @cases(count)
        @given(st.sampled_from(sorted(PROGRAMS)), st.lists(st.sampled_from(WORDS) | VALUE, max_size=5))
        def check(name, words):
            if not {"-h", "--help"} & set(words):
                status, _ = bench.run(PROGRAMS[name], *words)
                assert status == 2 or name in LISTS

        check()


def configurations(bench: Bench, count: int) -> None:
    """A run's `config.json`, changed in one place or damaged, is evaluated and resumed."""
    with bench.kind("configurations") as own:
        run_dir = shutil.copytree(bench.trained, own / "run")
        whole = json.loads((bench.trained / "config.json").read_text())
        fields = [(group, name) for group in ("data", "noise", "train") for name in whole[group]]
        fields += [(name, None) for name in whole]

        @cases(count)
        @given(st.data())
        def check(data):
            group, name = data.draw(st.sampled_from(fields))
            changed = json.loads(json.dumps(whole))
            if data.draw(st.booleans()):
                text = data.draw(damage(json.dumps(whole, indent=2).encode()))
            else:
                (changed if name is None else changed[group])[name or group] = data.draw(JSON | VALUE)
                text = json.dumps(changed).encode()
            (run_dir / "config.json").write_bytes(text)
            bench.run(evaluate.main, run_dir)
            bench.run(mnist_denoise.main, "--data.name", whole["data"]["name"], "--run-dir", run_dir, "--resume")

        check()
        assert bench.seen["refused"] > count / 2
