"""R's random numbers to the last bit: `set_seed`, `runif`, `rnorm`, `rexp`, `sample`, as R >= 3.6 draws them.

The Mersenne Twister under R's scrambling of the seed, normals by inversion, sampling by rejection or the old
rounding. Other generators and distributions are not here. Sources: R's help pages RNGkind and sample,
Matsumoto & Nishimura (1998), Wichura (1988, AS 241), Ahrens & Dieter (1972, SA), Ripley (1987, 3.13B).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WORDS = 624  # the twister's state
_STEP = 2.3283064365386963e-10  # 1 / (2^32 - 1): a word becomes a number of [0, 1]
_SMALLEST = 0.5 * 2.328306437080797e-10  # what R answers for the word 0
_CODES = {"Rejection": 10403, "Rounding": 403}  # first element of .Random.seed, twister and inversion
_LARGEST_POPULATION = 4.5e15
_LN2 = math.log(2.0)
# q[k-1] = sum of ln(2)^i / i! for i = 1..k (Ahrens & Dieter 1972); 1 to double precision from the 16th on
_Q = np.array([math.fsum(_LN2**i / math.factorial(i) for i in range(1, k + 1)) for k in range(1, 16)] + [1.0])
# AS 241's PPND16, lowest power first: numerator and denominator around 1/2, in the tails, in the far tails
_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2,
     5.3941960214247511077e3, 2.1213794301586595867e4, 3.9307895800092710610e4,
     2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
     3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0,
     6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
     5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR_TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
     2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1,
     1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
     1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


class RRandom:
    """One stream of R's random numbers; the functions of the module draw from a common one.

    `seed` as in `set_seed`; None starts anywhere, as an R without `set.seed` does.
    """

    def __init__(self, seed: float | None = None, sample_kind: str | None = None) -> None:
        self._twister = np.random.MT19937()
        self._sample_kind = "Rejection"
        self.set_seed(seed, sample_kind=sample_kind)

    def set_seed(
        self,
        seed: float | None,
        kind: str | None = None,
        normal_kind: str | None = None,
        sample_kind: str | None = None,
    ) -> None:
        """Start the stream of R's `set.seed(seed, kind, normal.kind, sample.kind)`.

        seed: an integer of 32 bits, negative or not; a fraction is dropped; None starts anywhere.
        sample_kind: "Rejection" (or "default"), "Rounding" (R before 3.6); None leaves it as it is, as in R.
        Raises DataError (bad-option) for a seed that R refuses and for generators that are not here.
        """
        _known("kind", kind, "Mersenne-Twister")
        _known("normal_kind", normal_kind, "Inversion")
        if sample_kind not in (None, "default", *_CODES):
            raise DataError("bad-option", f"sample_kind is 'Rejection' or 'Rounding', not {sample_kind!r}")
        if sample_kind == "Rounding":
            warnings.warn("non-uniform 'Rounding' sampler used", UserWarning, stacklevel=2)
        words = None if seed is None else _scrambled(seed)
        if sample_kind is not None:
            self._sample_kind = "Rejection" if sample_kind == "default" else sample_kind
        if words is None:
            self._twister = np.random.MT19937()
        else:
            self._set_words(words, _WORDS)

    @property
    def random_seed(self) -> NDArray[np.int32]:
        """R's `.Random.seed`, shape (626,): code of the generators, position, 624 words. Can be set."""
        state: Any = dict(self._twister.state)["state"]
        words = np.asarray(state["key"], dtype=np.uint32).view(np.int32)
        return np.concatenate([np.array([_CODES[self._sample_kind], state["pos"]], dtype=np.int32), words])

    @random_seed.setter
    def random_seed(self, values: ArrayLike) -> None:
        state = np.asarray(values).astype(np.int32)
        kinds = {code: name for name, code in _CODES.items()}
        if state.shape != (_WORDS + 2,) or int(state[0]) not in kinds or not 1 <= state[1] <= _WORDS:
            raise DataError("bad-option", "not a .Random.seed of the Mersenne Twister with inversion")
        self._sample_kind = kinds[int(state[0])]
        self._set_words(state[2:].view(np.uint32), int(state[1]))

    def runif(self, n: ArrayLike, min: ArrayLike = 0.0, max: ArrayLike = 1.0) -> Floats:
        """Uniform numbers of ]min, max[, shape (n,); min and max are recycled; NaN with a warning as in R."""
        size = _count(n)
        low, high = _recycled(size, min), _recycled(size, max)
        usable = np.isfinite(low) & np.isfinite(high) & (low <= high)
        drawn = usable & (low != high)
        result = np.where(usable, low, np.nan)
        with np.errstate(over="ignore"):
            result[drawn] = low[drawn] + (high[drawn] - low[drawn]) * self._uniform(int(drawn.sum()))
        return _warned(result)

    def rnorm(self, n: ArrayLike, mean: ArrayLike = 0.0, sd: ArrayLike = 1.0) -> Floats:
        """Normal numbers by inversion, shape (n,); mean and sd are recycled; NaN with a warning as in R."""
        size = _count(n)
        centre, scale = _recycled(size, mean), _recycled(size, sd)
        usable = ~np.isnan(centre) & np.isfinite(scale) & (scale >= 0.0)
        drawn = usable & (scale != 0.0) & np.isfinite(centre)
        result = np.where(usable, centre, np.nan)
        result[drawn] = centre[drawn] + scale[drawn] * self._normal(int(drawn.sum()))
        return _warned(result)

    def rexp(self, n: ArrayLike, rate: ArrayLike = 1.0) -> Floats:
        """Exponential numbers, shape (n,); rate is recycled; NaN with a warning as in R."""
        with np.errstate(divide="ignore", over="ignore"):
            scale = 1.0 / _recycled(_count(n), rate)
        drawn = np.isfinite(scale) & (scale > 0.0)
        result = np.where(scale == 0.0, 0.0, np.nan)
        result[drawn] = scale[drawn] * self._exponential(int(drawn.sum()))
        return _warned(result)

    def sample(
        self, x: ArrayLike, size: float | None = None, replace: bool = False, prob: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Elements of x in R's random order, shape (size,).

        x: a vector; a single number >= 1, even within a vector of length one, stands for 1..x, as in R.
        size: all of x where None. prob: weights, one an element. Raises DataError (bad-option) as R stops.
        """
        values = np.atleast_1d(np.asarray(x))
        if values.size == 1 and values.dtype.kind in "iuf" and 1 <= values[0] < np.inf:
            return self.sample_int(float(values[0]), size, replace, prob)
        return values[self.sample_int(values.size, size, replace, prob) - 1]

    def sample_int(
        self,
        n: float,
        size: float | None = None,
        replace: bool = False,
        prob: ArrayLike | None = None,
        use_hash: bool | None = None,
    ) -> Ints:
        """R's `sample.int`: integers of 1..n, shape (size,), in the order R draws them.

        use_hash: drop repeated draws instead of shuffling; R's default is n > 1e7 and size <= n / 2.
        """
        k = _sample_size(n, n if size is None else size, replace)
        if prob is not None:
            return 1 + self._weighted(_probabilities(prob, int(n), k, replace), k, replace)
        if use_hash is None:
            use_hash = n > 1e7 and not replace and k <= n / 2
        if replace or k < 2:
            return 1 + self._indices(int(n), k)
        if not use_hash:
            return 1 + self._shuffled(int(n), k)
        if k > n / 2:
            raise DataError("bad-option", "this algorithm is for size <= n/2")
        return 1 + self._distinct(int(n), k)

    # -- the uniform stream ---------------------------------------------------------------------------

    def _set_words(self, words: NDArray[np.uint32], position: int) -> None:
        self._twister.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": position}}

    def _uniform(self, n: int) -> Floats:
        """The next n numbers of ]0, 1[."""
        words = np.asarray(self._twister.random_raw(n), dtype=np.float64)
        return np.asarray(np.where(words == 0.0, _SMALLEST, words * _STEP))

    # -- distributions --------------------------------------------------------------------------------

    def _normal(self, n: int) -> Floats:
        """Inversion of a uniform of 27 + 32 bits, made of two draws."""
        u = self._uniform(2 * n)
        big = 134217728.0  # 2^27
        return _normal_quantile((np.floor(big * u[::2]) + u[1::2]) / big)

    def _exponential(self, n: int) -> Floats:
        """Algorithm SA. A draw takes 1, 3, 4, ... uniforms, and its first one tells how many.

        As each takes one at least, only as many as draws are missing are fetched at a time: none too many.
        """
        done = [np.empty(0)]
        missing, rest = n, np.empty(0)
        while missing:
            u = np.concatenate([rest, self._uniform(missing)])
            mantissa, exponent = np.frexp(u)
            halvings = np.where(mantissa == 0.5, 1, 0) - exponent
            fraction = np.ldexp(u, halvings + 1) - 1.0  # doubled until above 1, less 1
            i = np.searchsorted(_Q, fraction)  # the first q that the fraction does not exceed
            length = np.where(i == 0, 1, i + 2)
            start = _starts(length)
            short = i[start] == 0
            value = np.where(short, fraction[start], 0.0)
            value[~short] = _least_after(u, start[~short], length[start[~short]]) * _LN2
            done.append(_multiples_of_ln2(halvings[start]) + value)
            missing -= len(start)
            rest = u[start[-1] + length[start[-1]] :] if len(start) else u
        return np.concatenate(done)

    # -- sampling -------------------------------------------------------------------------------------

    def _attempts(self, n: int, k: int) -> Ints:
        """k integers of as many random bits as n needs; they may be n or more."""
        return _bits(self._uniform(k * _chunks(n)).reshape(k, -1), n)

    def _rounded(self, n: int, draws: int) -> Floats:
        """Uniforms for the old rounding: two of them, 25 bits from the first, where one has too few for n."""
        if n <= 2147483647:
            return self._uniform(draws)
        u = self._uniform(2 * draws)
        return (np.floor(33554432.0 * u[::2]) + u[1::2]) / 33554432.0

    def _indices(self, n: int, k: int) -> Ints:
        """k independent integers of 0..n-1."""
        if self._sample_kind == "Rounding":
            return np.floor(float(n) * self._rounded(n, k)).astype(np.int64)
        done = np.empty(0, dtype=np.int64)
        while len(done) < k:
            attempts = self._attempts(n, k - len(done))
            done = np.concatenate([done, attempts[attempts < n]])
        return done

    def _distinct(self, n: int, k: int) -> Ints:
        """k different integers of 0..n-1; those drawn before are drawn anew."""
        done = np.empty(0, dtype=np.int64)
        while len(done) < k:
            drawn = np.concatenate([done, self._indices(n, k - len(done))])
            done = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
        return done

    def _shuffled(self, n: int, k: int) -> Ints:
        """k different integers of 0..n-1: each draw empties a place, which the last one then fills."""
        pool = np.arange(n, dtype=np.int64).data  # a view whose single elements are cheap to reach
        result = []
        last = n
        for place in self._shrinking(n, k).tolist():
            last -= 1
            result.append(pool[place])
            pool[place] = pool[last]
        return np.array(result, dtype=np.int64)

    def _shrinking(self, n: int, k: int) -> Ints:
        """k integers: of 0..n-1, of 0..n-2, and so on."""
        if self._sample_kind == "Rounding":
            return np.floor(np.arange(n, n - k, -1) * self._rounded(n, k)).astype(np.int64)
        result: list[int] = []
        while len(result) < k:
            left = n - len(result)
            same_bits = left - (1 << math.ceil(math.log2(left))) // 2  # draws until one bit less will do
            missing = min(same_bits, k - len(result)) if left > 1 else 1
            for attempt in self._attempts(left, missing).tolist():
                if attempt < left:
                    result.append(attempt)
                    left -= 1
        return np.array(result, dtype=np.int64)

    def _weighted(self, p: Floats, k: int, replace: bool) -> Ints:
        """k integers of 0..n-1 with probabilities p, shape (n,), by whichever of R's three ways applies."""
        if replace and np.count_nonzero(len(p) * p > 0.1) > 200:
            return self._walker(p, k)
        order = _decreasing(p)
        p = p[order]
        if replace:
            places = np.searchsorted(np.cumsum(p)[:-1], self._uniform(k))
            return order[places]
        result = np.empty(k, dtype=np.int64)
        mass = 1.0
        for position, u in enumerate(self._uniform(k).tolist()):
            place = int(np.searchsorted(np.cumsum(p)[:-1], mass * u))
            result[position] = order[place]
            mass -= p[place]
            p, order = np.delete(p, place), np.delete(order, place)
        return result

    def _walker(self, p: Floats, k: int) -> Ints:
        """Walker's alias method (Ripley 1987, 3.13B)."""
        share, alias = _aliases(p)
        if self._sample_kind == "Rounding":
            u = len(p) * self._uniform(k)
            place = u.astype(np.int64)
        else:
            place, u = self._indices_with_uniforms(len(p), k)
            u += place
        return np.where(u < share[place], place, alias[place])

    def _indices_with_uniforms(self, n: int, k: int) -> tuple[Ints, Floats]:
        """k independent integers of 0..n-1, each with the uniform that is drawn right after it."""
        places, uniforms = np.empty(0, dtype=np.int64), np.empty(0)
        chunks, rest = _chunks(n), np.empty(0)
        while missing := k - len(places):
            u = np.concatenate([rest, self._uniform(missing * (chunks + 1) - len(rest))])
            attempts = _bits(np.lib.stride_tricks.sliding_window_view(u, chunks), n)
            length = np.full(len(u), chunks + 1)
            length[: len(attempts)][attempts >= n] = chunks  # one that fails takes no uniform with it
            start = _starts(length)
            rest = u[start[-1] + length[start[-1]] :]
            start = start[attempts[start] < n]
            places = np.concatenate([places, attempts[start]])
            uniforms = np.concatenate([uniforms, u[start + chunks]])
        return places, uniforms


def _known(name: str, given: str | None, only: str) -> None:
    if given not in (None, "default", only):
        raise DataError("bad-option", f"{name} {given!r} is not here; {only!r} is")


def _scrambled(seed: float) -> NDArray[np.uint32]:
    """The twister's first state: a congruential generator (69069, 1) run from the seed, less its first 51."""
    value = float(seed)
    if not abs(value) < 2147483648.0:
        raise DataError("bad-option", "supplied seed is not a valid integer")
    word = int(value) % 2**32
    words = []
    for _ in range(51 + _WORDS):
        word = (69069 * word + 1) % 2**32
        words.append(word)
    return np.array(words[51:], dtype=np.uint32)


def _count(n: ArrayLike) -> int:
    """How many numbers `n` asks for: its length where it is a vector, as in R."""
    array = np.asarray(n)
    if array.size > 1:
        return array.size
    value = float(array.reshape(-1)[0]) if array.size else math.nan
    if not 0 <= value <= _LARGEST_POPULATION:
        raise DataError("bad-option", "invalid arguments")
    return int(value)


def _recycled(n: int, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if array.size <= 1:
        return np.full(n, array[0] if array.size else np.nan)
    return np.resize(array, n)


def _warned(values: Floats) -> Floats:
    if np.isnan(values).any():
        warnings.warn("NAs produced", RuntimeWarning, stacklevel=3)
    return values


def _polynomial(coefficients: tuple[float, ...], r: Floats) -> Floats:
    """Horner's rule, the lowest power first."""
    value = np.full_like(r, coefficients[-1])
    for c in coefficients[-2::-1]:
        value = value * r + c
    return value


def _normal_quantile(p: Floats) -> Floats:
    """AS 241, PPND16, for 0 < p <= 1. The logarithm is the C library's, as in R; numpy's may differ."""
    q = p - 0.5
    result = np.empty_like(p)
    central = np.abs(q) <= 0.425
    r = 0.180625 - q[central] * q[central]
    result[central] = q[central] * _polynomial(_CENTRE[0], r) / _polynomial(_CENTRE[1], r)
    tail = np.minimum(p, 1.0 - p)[~central]
    r = np.sqrt([-math.log(t) if t else math.inf for t in tail.tolist()], dtype=np.float64)
    size = np.full_like(r, np.inf)
    for part, origin, (above, below) in ((r <= 5.0, 1.6, _TAIL), ((r > 5.0) & (r < np.inf), 5.0, _FAR_TAIL)):
        size[part] = _polynomial(above, r[part] - origin) / _polynomial(below, r[part] - origin)
    result[~central] = np.copysign(size, q[~central])
    return result


def _starts(length: Ints) -> Ints:
    """Where draws begin, when one that begins at i ends before i + length[i]; only those that are whole."""
    begins = np.ones(len(length), dtype=bool)
    long = np.flatnonzero(length > 1)
    taken: list[int] = []
    free = 0
    for i, end in zip(long.tolist(), (long + length[long]).tolist(), strict=True):
        if i >= free:
            taken.append(i)
            free = end
    first = np.array(taken, dtype=np.int64)
    for j in range(1, int(length.max())):
        covered = first[length[first] > j] + j
        begins[covered[covered < len(begins)]] = False
    found = np.flatnonzero(begins)
    return found[found + length[found] <= len(length)]


def _least_after(u: Floats, start: Ints, length: Ints) -> Floats:
    """The least of the uniforms after the first one of each draw."""
    least = u[start + 1]
    for j in range(2, int(length.max(initial=0))):
        longer = length > j
        least[longer] = np.minimum(least[longer], u[start[longer] + j])
    return least


def _multiples_of_ln2(k: Ints) -> Floats:
    """k * ln 2 as repeated addition rounds it."""
    return np.concatenate([[0.0], np.cumsum(np.full(int(k.max(initial=0)), _LN2))])[k]


def _sample_size(n: float, size: float, replace: bool) -> int:
    if not 0 <= n <= _LARGEST_POPULATION or (n < 1 and size >= 1 and replace):
        raise DataError("bad-option", "invalid first argument")
    if not 0 <= size <= _LARGEST_POPULATION:
        raise DataError("bad-option", "invalid 'size' argument")
    if not replace and int(size) > int(n):
        raise DataError("bad-option", "cannot take a sample larger than the population when 'replace = FALSE'")
    return int(size)


def _probabilities(prob: ArrayLike, n: int, k: int, replace: bool) -> Floats:
    p = np.asarray(prob, dtype=np.float64).reshape(-1)
    if p.size != n:
        raise DataError("bad-option", "incorrect number of probabilities")
    if not np.isfinite(p).all():
        raise DataError("bad-option", "NA in probability vector")
    if (p < 0.0).any():
        raise DataError("bad-option", "negative probability")
    positive = np.count_nonzero(p)
    if positive == 0 or (not replace and k > positive):
        raise DataError("bad-option", "too few positive probabilities")
    return np.asarray(p / np.cumsum(p)[-1])  # cumsum adds one by one, as R does


def _chunks(n: int) -> int:
    """How many uniforms, of 16 bits each, an integer of 0..n-1 takes."""
    return math.ceil(math.log2(n)) // 16 + 1


def _bits(u: Floats, n: int) -> Ints:
    """Integers of as many bits as n needs from uniforms, shape (k, chunks)."""
    parts = (u * 65536.0).astype(np.int64)
    value = parts[:, 0]
    for j in range(1, parts.shape[1]):
        value = (value << 16) | parts[:, j]
    return np.asarray(value & ((1 << math.ceil(math.log2(n))) - 1))


def _decreasing(p: Floats) -> Ints:
    """Positions that put p in decreasing order by heapsort (Williams 1964), which settles ties."""
    key, order = p.tolist(), list(range(len(p)))

    def sift(root: int, end: int) -> None:
        """Let the item at root sink in the heap of 0..end-1 whose root is its least."""
        value, index = key[root], order[root]
        child = 2 * root + 1
        while child < end:
            if child + 1 < end and key[child + 1] < key[child]:
                child += 1
            if value <= key[child]:
                break
            key[root], order[root] = key[child], order[child]
            root, child = child, 2 * child + 1
        key[root], order[root] = value, index

    for root in range(len(p) // 2 - 1, -1, -1):
        sift(root, len(p))
    for end in range(len(p) - 1, 0, -1):
        key[0], key[end] = key[end], key[0]
        order[0], order[end] = order[end], order[0]
        sift(0, end)
    return np.array(order, dtype=np.int64)


def _aliases(p: Floats) -> tuple[Floats, Ints]:
    """Walker's table, shapes (n,): where i's own share of [i, i + 1[ ends, and who has the rest."""
    n = len(p)
    share = (n * p).tolist()
    alias = list(range(n))
    queue = [i for i in range(n) if share[i] < 1.0]
    giver = len(queue)
    queue += [i for i in range(n - 1, -1, -1) if share[i] >= 1.0]
    if 0 < giver < n:
        for poor in range(n - 1):
            i, j = queue[poor], queue[giver]
            alias[i] = j
            share[j] += share[i] - 1.0
            if share[j] < 1.0:
                giver += 1
                if giver >= n:
                    break
    return np.array(share) + np.arange(n), np.array(alias, dtype=np.int64)


_common = RRandom()
set_seed: Callable[..., None] = _common.set_seed
runif = _common.runif
rnorm = _common.rnorm
rexp = _common.rexp
sample = _common.sample
sample_int = _common.sample_int
