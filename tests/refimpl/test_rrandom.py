"""R's random numbers: frozen streams, every draw of them, and the same streams from a live R.

The last bit of a normal's tail is the C library's logarithm; the frozen streams are those of glibc.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refimpl import rrandom
from refimpl.errors import DataError
from refimpl.rrandom import RRandom

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "compat" / "r" / "rrandom.R"
FROZEN = ROOT / "fixtures" / "expected" / "r-4.2.2-debian12" / "rrandom"
KINDS = ("runif", "rnorm", "rexp", "sample", "mixed")
FILES = {kind: json.loads((FROZEN / f"rrandom-{kind}.json").read_text()) for kind in KINDS}
STREAMS = {stream["name"]: stream for kind in KINDS for stream in FILES[kind]["streams"]}


def started(stream: dict[str, Any]) -> RRandom:
    """An RRandom at the beginning of a frozen stream."""
    random = RRandom()
    if stream["sample_kind"] == "Rounding":
        with pytest.warns(UserWarning, match="non-uniform 'Rounding' sampler used"):
            random.set_seed(stream["seed"], sample_kind="Rounding")
    else:
        random.set_seed(stream["seed"], "Mersenne-Twister", "Inversion", "Rejection")
    if stream["words"]:
        state = random.random_seed
        state[1] = 1
        state[3 : 3 + len(stream["words"])] = stream["words"]
        random.random_seed = state
    return random


def numbers(stream: dict[str, Any]) -> np.ndarray:
    random = started(stream)
    drawn = [getattr(random, call["fun"])(**call["args"]) for call in stream["calls"]]
    return np.concatenate(drawn).astype("<f8")


def hexes(values: np.ndarray) -> list[str]:
    """Doubles as C99 writes them, without trailing zeros, as R's %a does."""
    texts = []
    for value in values.tolist():
        if not np.isfinite(value):
            texts.append("Inf" if value > 0 else "-Inf" if value < 0 else "NaN")
            continue
        mantissa, exponent = value.hex().split("p")
        whole, _, fraction = mantissa.partition(".")
        fraction = fraction.rstrip("0")
        texts.append(f"{whole}{'.' if fraction else ''}{fraction}p{exponent}")
    return texts


@pytest.mark.parametrize("name", STREAMS)
def test_frozen_stream_is_reproduced_to_the_last_bit(name: str) -> None:
    stream = STREAMS[name]
    got = numbers(stream)
    assert len(got) == stream["length"]
    if "values" in stream:
        assert hexes(got) == stream["values"]
    else:
        assert hexes(got[:8]) == stream["head"]
        assert hexes(got[-8:]) == stream["tail"]
    assert hashlib.sha256(got.tobytes()).hexdigest() == stream["sha256"]


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_file_tells_where_it_comes_from(kind: str) -> None:
    provenance = FILES[kind]["provenance"]
    assert provenance["r"].startswith("R version 4.2.2")
    assert provenance["script"] == SCRIPT.name
    assert provenance["script_sha256"] == hashlib.sha256(SCRIPT.read_bytes()).hexdigest()
    assert all(provenance[key] for key in ("platform", "os", "c_library", "locale", "packages", "date"))


def test_every_kind_is_frozen_with_a_million_draws() -> None:
    million = Counter(kind for kind in KINDS for s in FILES[kind]["streams"] if s["length"] >= 1_000_000)
    assert min(million[kind] for kind in ("runif", "rnorm", "rexp", "sample")) >= 2


@pytest.fixture(scope="module")
def live_streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rscript = shutil.which("Rscript")
    if rscript is None:
        pytest.skip("Rscript is not on the path; compat/r/install-debian.sh installs R")
    directory = tmp_path_factory.mktemp("rrandom")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run([rscript, str(SCRIPT), "live", str(directory)], check=True, timeout=300, env=environment)
    return directory


@pytest.mark.live
@pytest.mark.parametrize("name", STREAMS)
def test_live_stream_is_reproduced_to_the_last_bit(name: str, live_streams: Path) -> None:
    expected = np.fromfile(live_streams / f"{name}.bin", dtype="<f8")
    got = numbers(STREAMS[name])
    assert got.shape == expected.shape
    assert np.flatnonzero(got.view(np.int64) != expected.view(np.int64)).tolist() == []


def test_clones_start_from_the_module_functions() -> None:
    rrandom.set_seed(7222009)
    x, y = rrandom.rnorm(100), rrandom.rnorm(100)
    assert hexes(np.concatenate([x, y])) == STREAMS["rnorm-clones"]["values"]


def test_streams_are_independent_objects() -> None:
    one, other = RRandom(1), RRandom(1)
    first = one.runif(1000)
    rrandom.set_seed(5)
    assert rrandom.runif(1)[0] != first[0]
    assert np.array_equal(other.runif(1000), first)


@pytest.mark.parametrize("method", ["runif", "rnorm", "rexp"])
def test_draws_do_not_depend_on_how_they_are_split(method: str) -> None:
    whole, split = RRandom(11), RRandom(11)
    sizes = [0, 1, 1, 2, 3, 500, 0, 623, 624, 625, 7]
    parts = [getattr(split, method)(size) for size in sizes]
    assert np.array_equal(getattr(whole, method)(sum(sizes)), np.concatenate(parts))
    assert np.array_equal(whole.random_seed, split.random_seed)


def test_state_can_be_kept_and_put_back() -> None:
    random = RRandom(3)
    random.rexp(1001)
    kept = random.random_seed
    first = random.sample(1000)
    random.random_seed = kept
    assert np.array_equal(random.sample(1000), first)
    assert kept.shape == (626,)
    assert kept[0] == 10403


def test_seed_none_starts_somewhere_else_each_time() -> None:
    assert not np.array_equal(RRandom().runif(4), RRandom().runif(4))


def test_sample_kind_stays_until_it_is_changed() -> None:
    stream = STREAMS["sample-rounding-with-replacement"]
    random = started(stream)
    random.set_seed(stream["seed"])
    assert hexes(random.sample(10, 8, replace=True).astype(float)) == stream["head"]
    random.set_seed(stream["seed"], sample_kind="default")
    rejection = STREAMS["sample-rejection-with-replacement"]
    assert hexes(random.sample(10, 8, replace=True).astype(float)) == rejection["head"]


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("runif", (3, 2.0, 1.0), [np.nan] * 3),
        ("runif", (3, 0.0, np.inf), [np.nan] * 3),
        ("runif", (2, []), [np.nan] * 2),
        ("rnorm", (2, 0.0, -1.0), [np.nan] * 2),
        ("rnorm", (2, 0.0, np.inf), [np.nan] * 2),
        ("rnorm", (2, [np.nan, np.inf], 0.0), [np.nan, np.inf]),
        ("rexp", (3, [0.0, -1.0, np.inf]), [np.nan, np.nan, 0.0]),
    ],
)
def test_impossible_parameters_give_nan_with_a_warning_and_use_nothing_up(
    method: str, arguments: tuple[Any, ...], expected: list[float]
) -> None:
    random = RRandom(1)
    before = random.random_seed
    with pytest.warns(RuntimeWarning, match="NAs produced"):
        got = getattr(random, method)(*arguments)
    np.testing.assert_array_equal(got, expected)
    assert np.array_equal(random.random_seed, before)


def test_count_is_the_length_of_a_vector() -> None:
    assert np.array_equal(RRandom(1).rnorm([5, 6, 7]), RRandom(1).rnorm(3))
    assert np.array_equal(RRandom(1).runif(2.9), RRandom(1).runif(2))


def test_sample_takes_elements_of_any_vector() -> None:
    letters = ["a", "b", "c", "d"]
    order = RRandom(4).sample(4)
    assert RRandom(4).sample(letters).tolist() == [letters[i - 1] for i in order]
    assert RRandom(4).sample(np.array(letters)).tolist() == [letters[i - 1] for i in order]
    assert RRandom(4).sample("a", 2, replace=True).tolist() == ["a", "a"]
    assert RRandom(4).sample(True).tolist() == [True]
    assert RRandom(4).sample([]).tolist() == []
    assert RRandom(4).sample(9, 0).tolist() == []


def test_sample_int_drops_repeated_draws_when_told_to() -> None:
    got = RRandom(4).sample_int(1000, 500, use_hash=True)
    assert len(set(got.tolist())) == 500
    assert not np.array_equal(got, RRandom(4).sample_int(1000, 500))


@pytest.mark.parametrize("seed", [2.0**31, -(2.0**31), np.nan, np.inf])
def test_seed_outside_32_bits_is_refused(seed: float) -> None:
    with pytest.raises(DataError, match="supplied seed is not a valid integer") as caught:
        RRandom(seed)
    assert caught.value.kind == "bad-option"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "Wichmann-Hill"}, "kind 'Wichmann-Hill' is not here"),
        ({"normal_kind": "Box-Muller"}, "normal_kind 'Box-Muller' is not here"),
        ({"sample_kind": "rejection"}, "sample_kind is 'Rejection' or 'Rounding'"),
    ],
)
def test_refused_generator_leaves_the_stream_where_it_was(arguments: dict[str, str], message: str) -> None:
    random = RRandom(1)
    before = random.random_seed
    with pytest.raises(DataError, match=message):
        random.set_seed(2, **arguments)
    assert np.array_equal(random.random_seed, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": 5, "size": 6}, "larger than the population"),
        ({"x": 2.5, "size": 3}, "larger than the population"),
        ({"x": 5, "size": -1}, "invalid 'size' argument"),
        ({"x": 5, "size": np.nan}, "invalid 'size' argument"),
        ({"x": [], "size": 1, "replace": True}, "invalid first argument"),
        ({"x": 5e15, "size": 1}, "invalid first argument"),
        ({"x": 3, "prob": [1, 2]}, "incorrect number of probabilities"),
        ({"x": 3, "size": 2, "prob": [-1, 1, 1]}, "negative probability"),
        ({"x": 3, "size": 2, "prob": [np.nan, 1, 1]}, "NA in probability vector"),
        ({"x": 3, "size": 3, "prob": [0, 1, 1]}, "too few positive probabilities"),
        ({"x": 3, "size": 2, "replace": True, "prob": [0, 0, 0]}, "too few positive probabilities"),
    ],
)
def test_sample_that_r_refuses_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        RRandom(1).sample(**arguments)
    assert caught.value.kind == "bad-option"


@pytest.mark.parametrize("n", [-1, np.nan, []])
def test_impossible_count_is_refused(n: Any) -> None:
    with pytest.raises(DataError, match="invalid arguments"):
        RRandom(1).runif(n)


def test_state_that_is_not_a_twister_is_refused() -> None:
    random = RRandom(1)
    for wrong in (np.zeros(626), np.zeros(3), np.r_[10403, 625, np.zeros(624)]):
        with pytest.raises(DataError, match=r"not a \.Random\.seed"):
            random.random_seed = wrong
