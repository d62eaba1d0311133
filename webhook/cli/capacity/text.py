"""Explanations of capacity in a terminal of 80 columns."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from webhook.capacity.amounts import Step
from webhook.capacity.estimate import State
from webhook.capacity.explanation import PODS, Explanation, Sum, ZoneSum
from webhook.cli.terminal import bad, good, heading, muted, warning

_WIDTH: Final = 80
_POD_LINES: Final = 12
_GI: Final = 2**30
_STATES: Final = {
    State.APPLIED: good,
    State.HELD: warning,
    State.WITHDRAWN: bad,
    State.OFF: muted,
}
_SIGNS: Final = {
    Step.START: " ",
    Step.PLUS: "+",
    Step.MINUS: "-",
    Step.TIMES: "*",
    Step.AT_MOST: "≤",
    Step.AT_LEAST: "≥",
}
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_NAME: Final = 9  # characters: a longer name of a node has a line of its own
_AMOUNT: Final = 17  # characters: a terabyte with its commas


def explanation_text(of: Explanation, findings: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines of one node's explanation."""
    yield heading(f"Node {of.node}: ") + _STATES[State(of.state)](of.state)
    if of.why:
        yield from textwrap.wrap(of.why, _WIDTH)
    age = "none" if of.metric_age_seconds is None else f"{of.metric_age_seconds:.0f} s old"
    head = f"policy {of.policy}; strategy of {', '.join(of.strategy)}; metric {age}"
    yield from map(muted, textwrap.wrap(head, _WIDTH))
    for each in of.sums:
        yield from _sum(each)
    yield from _zones(of.zones)
    yield from _listed("What would change it", of.changes)
    yield from _listed("Warnings", (*findings, *of.warnings))


def table_text(nodes: Sequence[Explanation]) -> Iterator[str]:
    """Yield the lines of a table of nodes: batch resources as offered, requested and used."""
    if not nodes:
        yield "no nodes"
        return
    short = all(len(each.node) <= _NAME for each in nodes)
    rows = [("NODE", "BATCH-CPU", "REQ", "USED", "MEMORY", "REQ", "USED", "AGE", "STATE"), *map(_row, nodes)]
    for i, (name, *figures, state) in enumerate(rows):
        widths = (9, 7, 7, 8, 8, 8, 6)
        cells = " ".join(f"{cell:>{width}}" for cell, width in zip(figures, widths, strict=True))
        style = heading if i == 0 else _STATES[State(nodes[i - 1].state)]
        if not short and i:
            yield name
        yield f"{name if short or not i else '':<{_NAME}} {cells}  " + style(state)
        if i and (why := nodes[i - 1].why):
            yield muted(_cut(f"  {why}", _WIDTH))


def _row(of: Explanation) -> tuple[str, ...]:
    cpu, memory = of.sums[0], of.sums[1]
    age = "-" if of.metric_age_seconds is None else f"{of.metric_age_seconds:.0f}s"
    return (
        of.node,
        "-" if cpu.offered is None else str(cpu.offered),
        str(cpu.requested),
        f"{cpu.used:.0f}",
        "-" if memory.offered is None else _gi(memory.offered),
        _gi(memory.requested),
        _gi(memory.used),
        age,
        of.state,
    )


def _sum(of: Sum) -> Iterator[str]:
    name = of.resource.partition("/")[2]
    memory = name.endswith("memory")
    yield ""
    if of.offered is None:
        yield heading(name) + muted("  not offered")
        return
    shown = f"{of.offered} ({_gi(of.offered)})" if memory else f"{of.offered} ({of.offered / 1000:g} cores)"
    yield heading(f"{name} {shown}")
    for step, term, amount, why in of.terms:
        sign = "+" if step == Step.MINUS and amount < 0 else _SIGNS[Step(step)]
        text = _cut(f"{term:<15} {why}", _WIDTH - _AMOUNT - 6)
        yield f"  {sign} {_digits(abs(amount)):>{_AMOUNT}}  {text}".rstrip()
        if term in PODS:
            yield from _pods(of)
    yield heading(f"  = {_digits(of.offered):>{_AMOUNT}}") + muted("  rounded down" * _fractional(of))


def _zones(zones: Sequence[ZoneSum]) -> Iterator[str]:
    if zones:
        yield ""
        yield heading("NUMA zones") + muted("  computed, and published nowhere")
    for each in zones:
        name = each.resource.partition("/")[2]
        amount = _gi if name.endswith("memory") else _digits
        offered = _gi(each.offered) if name.endswith("memory") else str(each.offered)
        parts = [
            f"{_SIGNS[Step(step)]} {f'{of:g}' if step == Step.TIMES else amount(of)} {term}".strip()
            for step, term, of, _ in each.terms
            if of or step == Step.START
        ]
        unbroken = (part.replace(" ", _NO_BREAK) for part in parts)
        line = f"  {each.zone} {name} {offered} = {' '.join(unbroken)}"
        for wrapped in textwrap.wrap(line, _WIDTH, subsequent_indent=" " * 6):
            yield wrapped.replace(_NO_BREAK, " ")


def _pods(of: Sum) -> Iterator[str]:
    for pod in of.pods[:_POD_LINES]:
        text = f"{pod.namespace}/{pod.name} {pod.qos}".rstrip() + f": {pod.why}"
        yield muted(f"      {_digits(pod.amount):>{_AMOUNT}}  {_cut(text, _WIDTH - _AMOUNT - 8)}")
    if len(of.pods) > _POD_LINES:
        rest = of.pods[_POD_LINES:]
        total = sum(pod.amount for pod in rest)
        yield muted(f"      {_digits(total):>{_AMOUNT}}  of {len(rest)} more pods: see -o json")


def _fractional(of: Sum) -> bool:
    return any(isinstance(amount, float) for step, _, amount, _ in of.terms if step != Step.TIMES)


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield heading(title)
    for line in lines:
        yield from textwrap.wrap(line, _WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _digits(amount: float) -> str:
    """Return an amount with commas; a fraction to a millionth."""
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.6f}".rstrip("0").rstrip(".")


def _gi(amount: float) -> str:
    return f"{amount / _GI:.1f}Gi"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
