"""Certified optima of mixed models: Newton in high precision, then a proof, then decimals that are right.

A box of G around Newton's end holds exactly one stationary point if Krawczyk's operator maps it into its own inside
(Krawczyk 1969; Neumaier 1990, section 5.1), and that point is a strict local minimum if the Hessian is positive
definite on the box. A variance of exactly zero is proved by the sign of the score there (Karush, Kuhn and Tucker). All
of it in ball arithmetic, from the doubles of the case as exact numbers; needs python-flint, the extra `certify`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import flint
import msgspec
import numpy as np
from flint import arb, arb_mat, ctx
from numpy.typing import NDArray

from compat.balls import Arb, BallModel, Enclosure, identity, most_together
from compat.cases import Case, DataUnavailable, data_digests
from compat.check import CertifiedFile
from compat.mixed import MixedModel
from compat.optimum import minimise

BITS = 400
DIGITS = 20
LARGEST = 80  # random effects that depend on each other; more take hours
ZERO = 1e-6  # a scaled theta below this may be a zero

Floats = NDArray[np.float64]


class NotCertified(Exception):
    """An optimum that this cannot prove, and why."""


@dataclass(frozen=True)
class Proof:
    """A box that holds one strict local minimum: the factors (r, r) of each term, and what they enclose."""

    balls: BallModel
    factors: list[Arb]
    at: Enclosure


def prove(model: MixedModel, theta: Floats, bits: int = BITS) -> Proof:
    """Enclose the optimum near a scaled theta; raises NotCertified."""
    if model.p == 0:
        raise NotCertified("a model without fixed effects")
    with ctx.workprec(bits):
        search = _Search(BallModel(model), _start(model, theta))
        try:
            x = _newton(search, bits)
            box = _krawczyk(search, x, bits)
        except ZeroDivisionError:
            raise NotCertified("the Hessian is singular: the objective is flat in some direction") from None
        at, _, H = search.evaluate(box)
        _check_positive(H, "the Hessian")
        for factor, score in zip(search.factors(box), search.scores(at), strict=True):
            V = _null_vectors(factor)
            _check_positive(V.transpose() * score * V, "the score where a covariance is zero")
        return Proof(search.balls, search.factors(box), at)


def _start(model: MixedModel, theta: Floats) -> list[Floats]:
    """Factors in lower triangular form whose columns are either zero or have a positive diagonal."""
    out, start = [], 0
    for factor in model.factors(theta):
        r = len(factor)
        scales = model.scales[start : start + r]
        A = np.outer(scales, scales) * (factor @ factor.T)
        L = np.zeros((r, r))
        for j in range(r):
            if A[j, j] > ZERO**2:
                L[j:, j] = A[j:, j] / np.sqrt(A[j, j])
                A[j:, j:] -= np.outer(L[j:, j], L[j:, j])
        out.append(L / scales[:, None])
        start += r * (r + 1) // 2
    return out


class _Search:
    """The objective in the entries of the factors' columns that are not zero: G = L L', by the chain rule."""

    def __init__(self, balls: BallModel, start: list[Floats]) -> None:
        self.balls = balls
        self.sizes = [len(L) for L in start]
        self.free = [
            (t, i, j) for t, L in enumerate(start) for j in range(len(L)) if L[j, j] > 0 for i in range(j, len(L))
        ]
        self.x = [arb(float(start[t][i, j])) for t, i, j in self.free]
        self.size = [float(np.linalg.norm(start[t][i])) for t, i, _ in self.free]

    def factors(self, x: Sequence[Arb]) -> list[Arb]:
        """L of each term."""
        out = [arb_mat(r, r) for r in self.sizes]
        for (t, i, j), value in zip(self.free, x, strict=True):
            out[t][i, j] = value
        return out

    def evaluate(self, x: Sequence[Arb]) -> tuple[Enclosure, Arb, Arb]:
        """The enclosure at G = L L', gradient (t, 1) and Hessian (t, t) by the entries of L."""
        factors = self.factors(x)
        G = [factor * factor.transpose() for factor in factors]
        at = self.balls.evaluate([G[t][i, j] for t, i, j in self.balls.parameters])
        place = {entry: k for k, entry in enumerate(self.balls.parameters)}
        n = len(self.free)
        J = arb_mat(len(place), n)
        H = arb_mat(n, n)
        for a, (t, i, j) in enumerate(self.free):
            for k in range(self.sizes[t]):  # dG_ik = L_kj, twice where k is i
                J[place[t, max(i, k), min(i, k)], a] += factors[t][k, j] * (2 if k == i else 1)
            for b, (u, k, m) in enumerate(self.free):
                if (u, m) == (t, j):
                    H[a, b] += at.score[place[t, max(i, k), min(i, k)]] * (2 if k == i else 1)
        score = arb_mat([[value] for value in at.score])
        return at, J.transpose() * score, H + J.transpose() * at.hessian * J

    def scores(self, at: Enclosure) -> list[Arb]:
        """The derivative by G of each term as a symmetric matrix."""
        out = [arb_mat(r, r) for r in self.sizes]
        for (t, i, j), value in zip(self.balls.parameters, at.score, strict=True):
            out[t][i, j] = out[t][j, i] = value if i == j else value / 2
        return out


def _newton(search: _Search, bits: int) -> list[Arb]:
    """Newton's steps on midpoints until they are below 2^-(bits/2), relative."""
    x = search.x
    for _ in range(30):
        if not x:
            return x
        _, gradient, H = search.evaluate(x)
        step = H.solve(gradient).mid().entries()
        x = [(one - move).mid() for one, move in zip(x, step, strict=True)]
        if max(abs(float(move)) / size for move, size in zip(step, search.size, strict=True)) <= 2.0 ** -(bits / 2):
            return x
    raise NotCertified("Newton's method does not end")


def _krawczyk(search: _Search, x: list[Arb], bits: int) -> list[Arb]:
    """A box around x that K = x - Y f(x) + (I - Y J(box))(box - x) maps into its inside, mapped until it is narrow."""
    if not x:
        return x
    _, gradient, H = search.evaluate(x)
    Y = H.inv().mid()
    centre = arb_mat([[one] for one in x]) - Y * gradient
    box = [one + arb(0, arb(2) ** -(bits // 4) * size) for one, size in zip(x, search.size, strict=True)]
    for _ in range(4):
        gap = identity(len(x)) - Y * search.evaluate(box)[2]
        width = arb_mat([[wide - one] for wide, one in zip(box, x, strict=True)])
        mapped = (centre + gap * width).entries()
        if not all(wide.contains_interior(image) for wide, image in zip(box, mapped, strict=True)):
            raise NotCertified("Krawczyk's operator does not map the box into its inside")
        box = mapped
        if max(float(one.rad()) / size for one, size in zip(box, search.size, strict=True)) <= 2.0 ** -(bits / 2):
            break
    return box


def _null_vectors(L: Arb) -> Arb:
    """Columns v with L'v = 0 for a lower triangle whose columns are zero or have a positive diagonal."""
    r = L.nrows()
    zero = [j for j in range(r) if L[j, j].is_zero()]
    V = arb_mat(r, len(zero))
    for column, z in enumerate(zero):
        V[z, column] = arb(1)
        for f in reversed([j for j in range(r) if j not in zero]):
            V[f, column] = -sum((L[i, f] * V[i, column] for i in range(f + 1, r)), arb(0)) / L[f, f]
    return V


def _check_positive(A: Arb, what: str) -> None:
    """Every leading minor is positive."""
    for k in range(1, A.nrows() + 1):
        if not arb_mat([[A[i, j] for j in range(k)] for i in range(k)]).det() > 0:
            raise NotCertified(f"{what} is not positive definite")


# -- quantities ------------------------------------------------------------------------------------------------------


def quantities(proof: Proof, bits: int = BITS) -> dict[str, str | dict[str, str]]:
    """Decimals of what the box encloses, by quantity and label; raises NotCertified where a digit is not proved."""
    with ctx.workprec(bits):
        balls, at, labels = proof.balls, proof.at, proof.balls.model.labels
        sigma = (at.rss / balls.df).sqrt()
        covariances = [L * L.transpose() for L in proof.factors]
        coef = at.beta.entries()
        variances = [at.inverse[k, k] for k in range(balls.p)]
        sds, cors = _spreads(covariances, sigma)
        modes = _modes(proof)
        found: dict[str, list[Arb]] = {
            "objective": [at.objective],
            "sigma": [sigma],
            "theta": [L[i, j] for L in proof.factors for j in range(L.nrows()) for i in range(j, L.nrows())],
            "sd": sds,
            "cor": cors,
            "coef": coef,
            "std_error": [sigma * variance.sqrt() for variance in variances],
            "ranef": [modes[label[0]] for label in labels["ranef"]],
            "coef_by_group": _by_group(proof, coef, modes),
        }
        out: dict[str, str | dict[str, str]] = {}
        for name, values in found.items():
            texts = [_decimal(value, name) for value in values]
            names = [label[0] if label else "" for label in labels[name]]
            if names:
                out[name] = texts[0] if names == [""] else dict(zip(names, texts, strict=True))
        return out


def _decimal(value: Arb, name: str) -> str:
    if value.is_zero():
        return "0"
    if value.is_nan():
        return "NaN"
    if value.rel_accuracy_bits() < DIGITS * 3.33:
        raise NotCertified(f"{name}: only {value.rel_accuracy_bits()} bits are proved")
    return str(value.str(DIGITS, radius=False))


def _spreads(blocks: Sequence[Arb], sigma: Arb) -> tuple[list[Arb], list[Arb]]:
    sds, cors = [], []
    for G in blocks:
        roots = [G[k, k] if G[k, k].is_zero() else G[k, k].sqrt() for k in range(G.nrows())]
        sds += [sigma * root for root in roots]
        cors += [G[i, j] / (roots[i] * roots[j]) for j in range(G.nrows()) for i in range(j + 1, G.nrows())]  # or NaN
    return sds, cors


def _modes(proof: Proof) -> dict[str, Arb]:
    """Random effects G s by label group/level/column."""
    values: dict[int, Arb] = {}
    G = [L * L.transpose() for L in proof.factors]
    for part, s in zip(proof.balls.components, proof.at.s, strict=True):
        total = arb_mat(len(part.places), 1)
        for (t, i, j), E in zip(proof.balls.parameters, part.E, strict=True):
            total = total + G[t][i, j] * (E * s)
        values |= dict(zip(part.places, total.entries(), strict=True))
    out, place = {}, 0
    for term in proof.balls.model.random:
        for level in term.levels:
            for column in term.names:
                out[f"{term.group}/{level}/{column}"] = values[place]
                place += 1
    return out


def _by_group(proof: Proof, coef: Sequence[Arb], modes: Mapping[str, Arb]) -> list[Arb]:
    """Coefficients plus random effects, in the order of the labels: group, level, column."""
    model = proof.balls.model
    fixed = dict(zip(model.names, coef, strict=True))
    columns = [fixed.get(name, arb(0)) for name in model.coef_columns]
    labels = model.labels["coef_by_group"]
    return [columns[at % len(columns)] + modes.get(label, arb(0)) for at, (label,) in enumerate(labels)]


# -- files -----------------------------------------------------------------------------------------------------------

SOURCE = (
    "a strict local minimum, enclosed and proved in ball arithmetic of {bits} bits (Krawczyk's operator, positive "
    "definite Hessian, sign of the score at what is zero) from the doubles of response and model matrices as exact "
    "numbers; python-flint {version}, FLINT {flint}"
)


def certify(case: Case, bits: int = BITS) -> CertifiedFile:
    """Prove a case's optimum, the one that its start leads to; raises NotCertified, DataUnavailable."""
    if case.estimator != "lmer" or case.expects_error is not None:
        raise NotCertified("only fits of lmer are certified")
    if case.options["control"] != "nloptwrap":
        raise NotCertified("the same model as with lme4's own optimizer")
    model = MixedModel(case)
    if (widest := most_together(model)) > LARGEST:
        raise NotCertified(f"{widest} random effects depend on each other; {LARGEST} is the most that is tried")
    start = case.options.get("start", np.where(model.diagonal, 1.0, 0.0) / model.scales)
    best = minimise(model, np.asarray(start) * model.scales)
    found = quantities(prove(model, best.theta, bits), bits)
    return CertifiedFile(
        source=SOURCE.format(bits=bits, version=flint.__version__, flint=flint.__FLINT_VERSION__),
        case=case.id,
        quantities=found,
        case_sha256=case.sha256,
        data_sha256_doubles=data_digests(case)["data_sha256_doubles"],
        bits=bits,
    )


def certified_path(case: str, root: Path) -> Path:
    """Return where the certified values of a case lie."""
    return root / "certified" / f"{case}.json"


def dumps(file: CertifiedFile) -> str:
    """Return the text of a file of certified values, one a line."""
    return json.dumps(msgspec.to_builtins(file), indent=2, ensure_ascii=False) + "\n"


def write(case: Case, root: Path, *, check: bool = False) -> str:
    """Certify a case and write its file (nothing under `check`): new, unchanged, differs, or why there is none."""
    try:
        text = dumps(certify(case))
    except (NotCertified, DataUnavailable) as why:
        return f"not certified: {why}"
    path = certified_path(case.id, root)
    kept = path.read_text(encoding="utf-8") if path.is_file() else ""
    if kept == text:
        return "unchanged"
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return "differs" if kept else "new"
