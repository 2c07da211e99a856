"""The folder of a PsN scm run (or its log alone), in the normal form of `results.tool_result`."""

from __future__ import annotations

import datetime
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from nlmevae.comparison.nonmem_result import control_stream_beside, estimates_of, method_name
from nlmevae.comparison.psn_scm_log import ScmRow, ScmStep, read_scm_log
from nlmevae.errors import DataError
from nlmevae.results.tool_result import ToolEstimate, ToolLikelihood, ToolRelation, ToolResult, ToolTest

#: PsN's states; a file's [code] may give them another meaning.
STATES = {2: "linear", 3: "hockey-stick", 4: "exponential", 5: "power"}
#: What the log of our own scm begins with (`writers.stepwise_files`).
_OURS = re.compile(
    r"nlmevae scm: criterion (\w+); (\d+) models estimated in ([\d.]+) s; OFV by (importance sampling)\n"
    r"nlmevae scm: searched (.*)\n"
)
_OF_META = re.compile(
    r"^\s*(start_time|finish_time|logfile|linearize|command_line|search_direction):\s*(.+?)\s*$", re.MULTILINE
)


def read_scm_run(path: str | os.PathLike[str], *, config: str | os.PathLike[str] | None = None) -> ToolResult:
    """
    Args:
        path: folder of the run, or its log.
        config: the configuration file; without it the one in the folder.

    Raises:
        DataError: no such run, or its log is cut off or is none.
    """
    place = Path(path)
    folder = place if place.is_dir() else place.parent
    meta = dict(_OF_META.findall(_text(folder / "meta.yaml")))
    log = _log(place, meta)
    steps = read_scm_log(log)
    if not steps[-1].finished:
        raise DataError(
            f"{log} ends within the step of line {steps[-1].line}: the search did not finish, or the file is cut off",
            hint="give the log of a finished run",
        )
    settings = _Settings(config or _config(folder, meta))
    ours = _OURS.match(_text(log))
    if ours is not None:
        settings.pairs |= {p + c: (p, c) for p, c in (pair.split("~") for pair in ours[5].split())}
    names = _Names(steps, settings)
    tests = tuple(_test(k, step, row, names) for k, step in enumerate(steps, 1) for row in step.rows)
    relations, notes = _final(steps, tests, settings, names, whole=ours is not None)
    value = _final_value(steps)
    likelihoods, estimates, ext, found = _final_model(folder, steps, value, "" if ours is None else "is")
    direction = settings.direction or meta.get("search_direction", "")
    if direction in ("both", "backward") and not any(step.backward for step in steps):
        notes.append(
            f"search_direction is {direction}, but the log has no backward step: the search may not be finished"
        )
    if meta.get("linearize") == "1":
        notes.append("the search is on a linearised model: its OFV is not that of the model itself")
    return ToolResult(
        tool="PsN scm" if ours is None else _title(ours[1]),
        source=str(path),
        model=settings.model,
        relations=relations,
        tested=_tested(tests, settings),
        tests=tests,
        likelihoods=likelihoods,
        criteria={} if math.isnan(value) else {"OFV": value},
        estimates=estimates,
        n_runs=len(tests) + 1 if ours is None else int(ours[2]),
        seconds=_seconds(meta) if ours is None else float(ours[3]),
        control_stream=control_stream_beside(ext) if ext else "",
        parameters_file=ext,
        notes=(*notes, *names.notes, *found),
    )


def _title(criterion: str) -> str:
    """Of our own search: two by different criteria are told apart."""
    return f"SCM ({criterion})"


def _log(place: Path, meta: dict[str, str]) -> Path:
    """The whole log, not the short one, which has the chosen relations only."""
    if place.is_file():
        return place
    if not place.is_dir():
        raise DataError(f"there is no folder {place}", hint="give the folder of a run of PsN's scm, or its log")
    named = re.split(r"[\\/]", meta.get("logfile", "scmlog.txt"))[-1]
    candidates = [place / named, place / "scmlog.txt", *sorted(place.glob("scmlog*.txt"))]
    found = next((p for p in candidates if p.is_file()), None)
    if found is None:
        short = " (only the short one, which does not list the tests)" if any(place.glob("short_*.txt")) else ""
        raise DataError(
            f"{place} is no folder of PsN's scm: it has no scmlog.txt{short}",
            hint="give the folder that scm's directory= names, or the log itself",
        )
    return found


def _config(folder: Path, meta: dict[str, str]) -> Path | None:
    """The one that the command line names, else the only one."""
    found = sorted(folder.glob("*.scm"))
    named = [p for p in found if p.name in meta.get("command_line", "")]
    return (named or found or [None])[0] if len(named) == 1 or len(found) == 1 else None


class _Settings:
    """What the configuration file says of names and kinds; empty without one."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        from nlmevae.data.search.scm_text import scm_entries

        self.pairs: dict[str, tuple[str, str]] = {}
        self.categorical: set[str] = set()
        self.continuous: set[str] = set()
        self.coded: set[int] = set()
        self.included: list[tuple[str, str, int]] = []
        self.model = self.direction = ""
        for entry in scm_entries(path)[1] if path is not None else ():
            words = tuple(w for w in re.split(r"[,\s]+", entry.value) if w)
            if entry.section == "test_relations":
                self.pairs |= {entry.key + word: (entry.key, word) for word in words}
            elif entry.section == "included_relations":
                split = [word.rpartition("-") for word in words]
                self.included += [(entry.key, c, int(s)) for c, _, s in split if s.isdigit() and s != "1"]
            elif entry.section == "code":
                state = entry.key.rpartition("-")[2]
                self.coded |= {int(state)} if state.isdigit() else set()
            elif not entry.section and entry.key == "categorical_covariates":
                self.categorical = set(words)
            elif not entry.section and entry.key == "continuous_covariates":
                self.continuous = set(words)
            elif not entry.section and entry.key == "search_direction":
                self.direction = entry.value
            elif not entry.section and entry.key == "model":
                self.model = entry.value

    def form(self, covariate: str, state: int) -> str:
        if state in self.coded:
            return f"state {state}"
        if covariate in self.categorical:
            return "categorical"
        if state == 2 and covariate not in self.continuous:
            return "state 2"  # linear or categorical
        return STATES.get(state, f"state {state}")


def _chosen(step: ScmStep) -> tuple[tuple[str, str, int], ...]:
    return () if step.chosen is None else (step.chosen,)


class _Names:
    """``CLWGT`` -> (CL, WGT): the log writes parameter and covariate as one word."""

    def __init__(self, steps: Sequence[ScmStep], settings: _Settings) -> None:
        self.pairs = dict(settings.pairs)
        self.notes: list[str] = []
        lists = [(p, c) for step in steps for p, c, _ in (*(step.included or ()), *_chosen(step))]
        self.pairs |= {p + c: (p, c) for p, c in lists if p}
        self.parameters = {name for step in steps for name in step.parameters} | {p for p, _ in self.pairs.values()}
        self.words = {row.name for step in steps for row in step.rows} | {c for p, c in lists if not p}
        unsplit = self._learn()
        if unsplit:
            self.notes.append(
                f"{', '.join(sorted(unsplit))}: parameter and covariate cannot be told apart without the configuration "
                "file"
            )

    def _learn(self) -> set[str]:
        """Words with one possible parameter teach covariates, which decide between several parameters."""
        left = self.words - set(self.pairs)
        for _ in range(2):
            covariates = {c for _, c in self.pairs.values()}
            for word in sorted(left):
                splits = [(p, word[len(p) :]) for p in self.parameters if word.startswith(p) and len(word) > len(p)]
                known = [s for s in splits if s[1] in covariates] or splits
                if len(known) == 1:
                    self.pairs[word] = known[0]
            left -= set(self.pairs)
        return left

    def split(self, word: str) -> tuple[str, str]:
        return self.pairs.get(word, (word, ""))


def _test(step: int, block: ScmStep, row: ScmRow, names: _Names) -> ToolTest:
    parameter, covariate = names.split(row.name)
    return ToolTest(
        step=step,
        backward=block.backward,
        parameter=parameter,
        covariate=covariate,
        state=str(row.state),
        base=row.base,
        new=row.new,
        drop=row.drop,
        goal=row.goal,
        df=row.df,
        p_value=row.p_value,
        significant=row.significant,
        chosen=block.chosen == (parameter, covariate, row.state),
    )


def _final(
    steps: Sequence[ScmStep], tests: Sequence[ToolTest], settings: _Settings, names: _Names, *, whole: bool
) -> tuple[tuple[ToolRelation, ...] | None, list[str]]:
    """Relations of the final model: those after the last step that lists them, else those it began with. `whole`: the
    log was written after the search."""
    notes = []
    included = next((s.included for s in reversed(steps) if s.included is not None), None)
    if included is None and settings.pairs:
        included = tuple(settings.included)
    if included is None:
        return None, ["the log lists no relations, and there is no configuration file that names those of the start"]
    last = steps[-1]
    if last.chosen is not None and not whole:
        notes.append(
            "the last step in the log still changed the model: if the run was stopped, its choice is not final"
        )
    split = [(*((p, c) if p else names.split(c)), s) for p, c, s in included]
    return tuple(_relation(p, c, s, tests, settings) for p, c, s in split), notes


def _relation(
    parameter: str, covariate: str, state: int, tests: Sequence[ToolTest], settings: _Settings
) -> ToolRelation:
    own = [t for t in tests if (t.parameter, t.covariate) == (parameter, covariate)]
    entered = next((t for t in own if not t.backward and t.chosen and t.state == str(state)), None)
    removal = next((t for t in reversed(own) if t.backward), None)
    deciding = removal or entered
    df = None if deciding is None or deciding.df is None else abs(deciding.df)
    return ToolRelation(
        parameter=parameter,
        covariate=covariate,
        form=settings.form(covariate, state),
        n_coefficients=df or (2 if settings.form(covariate, state) == "hockey-stick" else None),
        p_value=math.nan if deciding is None else deciding.p_value,
        step=entered.step if entered else None,
        locked=not own,
    )


def _final_value(steps: Sequence[ScmStep]) -> float:
    """OFV of the final model: of the last choice, else what candidates were compared with."""
    chosen = next((s.chosen_value for s in reversed(steps) if s.chosen is not None), math.nan)
    base = next((row.base for s in reversed(steps) for row in s.rows), math.nan)
    return base if steps[-1].chosen is None and not math.isnan(base) else chosen


def _final_model(
    folder: Path, steps: Sequence[ScmStep], value: float, method: str
) -> tuple[tuple[ToolLikelihood, ...], tuple[ToolEstimate, ...], str, tuple[str, ...]]:
    """Likelihood, estimates, .ext and notes, from final_models/ or the m1 folder of the last choice if they were
    kept; `method` of the log's OFV, "" where it does not tell."""
    for path in _ext_files(folder, steps):
        if not path.is_file():
            continue
        table, estimates = estimates_of(path)
        objective = table.final().objective
        if not math.isnan(value) and abs(objective - value) > 0.01:
            return (
                _likelihood(value, method),
                (),
                "",
                (f"{path} has the OFV {objective:.3f}, not the log's: it is not used",),
            )
        return _likelihood(objective, method_name(table.method)), estimates, str(path), ()
    return _likelihood(value, method), (), "", ()


def _likelihood(value: float, method: str) -> tuple[ToolLikelihood, ...]:
    if math.isnan(value):
        return ()
    return (ToolLikelihood(value=value, method=method, with_constant=False),)


def _ext_files(folder: Path, steps: Sequence[ScmStep]) -> Iterable[Path]:
    final = folder / "final_models"
    yield from (final / f"final_{d}.ext" for d in (("backward",) if steps[-1].backward else ("forward",)))
    top = steps[0].directory.rstrip("/").removesuffix("m1").rstrip("/")
    for step in reversed(steps):
        if step.chosen is not None and top and step.directory.startswith(top):
            parameter, covariate, state = step.chosen
            inside = step.directory[len(top) :].strip("/")
            yield folder / inside / f"{parameter}{covariate}{state}.ext"
            return


def _tested(tests: Sequence[ToolTest], settings: _Settings) -> tuple[tuple[str, str], ...]:
    pairs = [*settings.pairs.values(), *((t.parameter, t.covariate) for t in tests if t.covariate)]
    return tuple(dict.fromkeys(pairs))


def _seconds(meta: dict[str, str]) -> float | None:
    try:
        start, end = (datetime.datetime.fromisoformat(meta[k].strip("'")) for k in ("start_time", "finish_time"))
    except (KeyError, ValueError):
        return None
    return (end - start).total_seconds()


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else ""
