"""One word for each thing: stale and contorted words do not come back (see docs/words.md)."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROSE = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "benchmarks/README.md",
    "experiments/**/*.md",
    "*.toml",
    "*.yml",
    "Makefile",
]
LIBRARY = ["jaxae/**/*.py", "jaxae/**/*.html", "jaxae/**/*.js"]
PROGRAMS = ["tests/**/*.py", "benchmarks/*.py", "experiments/**/*.py", "experiments/*.ipynb", "docs/*.py"]
EVERYWHERE = PROSE + LIBRARY + PROGRAMS
# this file, and the benchmark that also runs on an older commit, by the names of that time
EXEMPT = {Path(__file__).resolve(), ROOT / "benchmarks" / "scoring.py"}

# what must not be found, what takes its place, and where that holds
RULES = [
    # options
    (r"--train\.ops\b", "--train.backend", EVERYWHERE),
    (r"--train\.margin\b", "--train.reflect-padding", EVERYWHERE),
    (r"--(train\.)?scaled[-_]start\b", "--train.lsuv", EVERYWHERE),
    (r"--model\b", "--network", EVERYWHERE),
    (r"--ways\b", "--backends", EVERYWHERE),
    # modules
    (r"jaxae[./]models\b|\bmodels\.(build|find|MODELS)\b|\bimport models\b", "jaxae.networks", EVERYWHERE),
    (r"jaxae[./]run\b", "jaxae.runs", EVERYWHERE),
    (r"\brunner\.(run|describe)\b|experiments[./]runner\b", "jaxae.experiments.running", EVERYWHERE),
    (r"\bmake_plan\b|experiments[./]plan\b|\bplan\.(config|launch|task|test|trained_on)\b", "resolve", EVERYWHERE),
    (r"\btest_set\b|\bTestSet\b", "evaluation_set, EvaluationSet", EVERYWHERE),
    (r"\bself_supervised\.(losses|prepare)\b|training[./]self_supervised\b", "training.objectives", EVERYWHERE),
    # functions, classes and fields
    (r"\btraining\.(fit|source|start|scaled_start)\b", "train_epochs, place_images, start_from", EVERYWHERE),
    (r"\btrained\.(restore|open_images|open_labels)\b", "trained.load_run, trained.open_data", EVERYWHERE),
    (r"\bdata\.load(_labels)?\(", "data.open(name).load(split)", EVERYWHERE),
    (r"\bcommand\.parse\(", "command.parse_arguments", EVERYWHERE),
    (r"\bhalves\b", "Images(clean, noisy)", EVERYWHERE),
    (r"\bmetrics\.(mean_psnr|in_words)\b|import.*\bmean_psnr\b", "Metric.mean, metrics.format_means", EVERYWHERE),
    (r"\btake_down\b|\btrained_on\b|\bTrainedOn\b", "fingerprint", EVERYWHERE),
    (r"\btrain_mse\b|\btrain mse\b", "train_loss", EVERYWHERE),
    (r"\bmerit\b", "(validation) score", EVERYWHERE),
    (r"(?<![a-z])_as_they_are\b", "_takes_images_as_noisy", EVERYWHERE),
    (r"\bWAYS\b|\bway=|\.way\b|\bops\.(pick|Ops)\b", "BACKENDS, backend=, Backend", EVERYWHERE),
    (r"\bMODELS\b|\bconfig\.model\b", "NETWORKS, config.network", EVERYWHERE),
    (r"\bmicro_batch\b|\bops\.micro\b|\bimport micro\b", "microbatch", EVERYWHERE),
    (r"\b(model|train|network)\.margin\b|\bmargin=", "reflect_padding", EVERYWHERE),
    # terms
    (r"\bscaled[ _]start\b", "LSUV", EVERYWHERE),
    (r"[Pp]opulation", "ensemble", EVERYWHERE),
    (r"\b[Ww]ays? of computing\b", "convolution backend", EVERYWHERE),
    (
        r"\bfilters?[ _](that are )?(asleep|awake)\b|\boutputs?_alike\b|\bare_alike\b",
        "dead units, collapsed",
        EVERYWHERE,
    ),
    (r"\b[Cc]orruptions?\b|\bscores\.corrupt\b", "noise", EVERYWHERE),
    (r"\b[Mm]argins?\b", "reflection padding", PROSE),
    (r"\bmirrored (around|by)\b", "reflection padding", EVERYWHERE),
    (r"\btiles?\b", "summary cards", ["jaxae/report/**/*.py", "jaxae/report/**/*.html", "tests/report/*.py"]),
    (r"\btest figures\b|\bfigures side by side\b", "metrics", EVERYWHERE),
    # contorted phrases
    (r"\bin words[.;,\"]", "as text", PROSE + LIBRARY),
    (r"\b[Oo]f which\b", "two sentences", PROSE + LIBRARY),
    (r"\bwhat (it|they|these) comes? to\b|\bwhat comes of\b", "the result", PROSE + LIBRARY),
    (r"\blies?\b(?! inside)", "is (in)", PROSE + LIBRARY),
    (r"\b[Ww]here there (is|are) none\b", "if there is none", PROSE + LIBRARY),
    (r"\band the like\b|\band its like\b", "and others", PROSE),
    (r"\bwhoever\b", "the user", PROSE + LIBRARY),
    (r"\bof those that\b", "of the ... that", PROSE + LIBRARY),
    (r"\bin place of\b", "instead of", PROSE),
]


def found(pattern: str, places: list[str]) -> list[tuple[str, int, str]]:
    """The path, line and word of each match."""
    matches = []
    for path in sorted({path for place in places for path in ROOT.glob(place)} - EXEMPT):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            matches += [(path.relative_to(ROOT).as_posix(), number, match[0]) for match in re.finditer(pattern, line)]
    return matches


@pytest.mark.parametrize(("pattern", "replacement", "places"), RULES, ids=[rule[0] for rule in RULES])
def test_a_stale_word_is_gone(pattern, replacement, places):
    stale = found(pattern, places)
    assert not stale, "\n".join([f"write: {replacement}", *(f"{path}:{line}: {word}" for path, line, word in stale)])


@pytest.mark.parametrize("place", EVERYWHERE)
def test_every_place_has_files(place):
    assert list(ROOT.glob(place))
