"""What ``scheduler explain`` prints for people: lines of at most 80 columns."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from webhook.cli.terminal import bad, good, heading, muted
from webhook.scheduling.explanation import LOAD, NodeVerdict, ResourceUse, amount

_WIDTH = 80


def explanation_text(pod: str, verdicts: Sequence[NodeVerdict], said: Iterable[str] = ()) -> Iterator[str]:
    """Yield the lines for a pod, named by namespace and name; ``said``: what holds on every node."""
    fits = sum(not each.reasons for each in verdicts)
    yield heading(f"{pod}: {fits} of {len(verdicts)} nodes {'fits' if fits == 1 else 'fit'}")
    for remark in said:
        yield from _indented(remark)
    for each in verdicts:
        yield ""
        yield f"✗ {bad(each.node)}" if each.reasons else f"✓ {good(each.node)}  score {each.score}"
        for line in _of_node(each):
            yield from _indented(line)
        for use in each.uses:
            for line in _indented(_use(use)):
                yield muted(line)
        for line in (*(f"→ {remedy}" for remedy in each.remedies), *(f"! {note}" for note in each.notes)):
            yield from _indented(line)


def _of_node(verdict: NodeVerdict) -> Iterator[str]:
    yield from verdict.reasons.values()
    if verdict.cpus:
        yield f"CPU set: {verdict.cpus}, {verdict.set_score} of 100 points"
    if verdict.load_score is not None:
        yield f"load: {verdict.load_score} of 100 points"
    if verdict.measured is False:
        so = "" if LOAD in verdict.reasons else ": no pod is kept from it by load"
        yield f"load: no NodeMetric says what is in use{so}"


def _use(use: ResourceUse) -> str:
    used, expected, has = (amount(use.resource, each) for each in (use.used, use.expected, use.allocatable))
    share = f" = {use.percent} % of {has}" if use.percent is not None else f" of {has}"
    limit = f", at most {use.limit} %" if use.limit else ""
    return f"{use.resource}: {used} there + {expected} for this pod{share}{limit}"


def _indented(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False
    )
