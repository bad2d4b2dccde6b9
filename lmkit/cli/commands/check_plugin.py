"""``lmkit check-plugin``: whether a plugin and its components keep what their kinds promise."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lmkit.cli.options import count_of, json_option, print_json
from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.component import KINDS

if TYPE_CHECKING:
    from lmkit.testing import Check, Outcome

COLOURS = {"passed": "green", "failed": "red"}


@click.command("check-plugin", short_help="Check whether a plugin keeps what it promises.")
@click.argument("plugin")
@click.option(
    "--kind",
    "kinds",
    metavar="KIND",
    multiple=True,
    help="Check components of this kind alone; may be given several times.",
)
@click.option(
    "--set",
    "assignments",
    metavar="KIND.NAME.KEY=VALUE",
    multiple=True,
    help="Set an option of a component, or the landmarks or image_size it is built for; may be "
    "given several times.",
)
@click.option(
    "--expect",
    "expected",
    metavar="CHECK=REASON",
    multiple=True,
    help="A check that is expected to fail, and why; may be given several times.",
)
@json_option
def check_plugin_command(
    plugin: str,
    kinds: tuple[str, ...],
    assignments: tuple[str, ...],
    expected: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check PLUGIN: the name of an installed one or of its package, or a Python file.

    Runs the conformance kit, lmkit.testing, without pytest: one line for each promise of the plugin
    and of each component it brings. Of a component that does not work at all, no more is asked.
    Exits with 4 if a promise is not kept, and says what to do.

    Example: lmkit check-plugin my_plugin --set detector.mine.depth=2
    """
    from lmkit.testing import checks_for

    settings = component_settings(assignments)
    excuses = expected_failures(expected)
    checks = checks_for(plugin, settings=settings, kinds=kinds, expected_failures=excuses)
    results = run_checks(checks, quiet=as_json)
    if as_json:
        print_json([{"check": str(check), **asdict(outcome)} for check, outcome in results])
    else:
        print_summary(results)
    failed = any(outcome.state == "failed" for _, outcome in results)
    sys.exit(ExitCode.PLUGIN if failed else ExitCode.OK)


def component_settings(assignments: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return the words after ``--set`` as options by component: ``{"detector mine": {...}}``.

    Raises:
        LmkitError: If one does not have that form.
    """
    from lmkit.settings.layers import read_assignments

    found: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        words, _, _ = assignment.partition("=")
        kind, *rest = words.strip().split(".")
        if kind not in KINDS or len(rest) < 2:
            raise LmkitError(
                f"--set {assignment} is not KIND.NAME.KEY=VALUE.",
                remedy="Name the component too, for example --set detector.mine.depth=3.",
            )
    values = read_assignments(assignments).values
    for kind, components in values.items():
        for name, options in components.items():
            found[f"{kind} {name}"] = options
    return found


def expected_failures(words: tuple[str, ...]) -> dict[str, str]:
    """Return the words after ``--expect`` as reasons by check.

    Raises:
        LmkitError: If one does not have that form.
    """
    found = {}
    for word in words:
        check, _, reason = word.partition("=")
        if not check.strip() or not reason.strip():
            raise LmkitError(
                f"--expect {word} is not CHECK=REASON.",
                remedy="Name the check as it is printed, and say why it fails: "
                "--expect 'detector mine: bf16=its backbone overflows'.",
            )
        found[check.strip()] = reason.strip()
    return found


def run_checks(checks: "list[Check]", *, quiet: bool) -> "list[tuple[Check, Outcome]]":
    """Make every check, with a line for each as it ends."""

    def made() -> "Iterator[tuple[Check, Outcome]]":
        for check in checks:
            outcome = check.outcome()
            if not quiet:
                click.secho(f"{outcome.state:<9}", fg=COLOURS.get(outcome.state), nl=False)
                told = outcome.state in ("skipped", "expected")
                reason = f"  ({outcome.problem})" if told else ""
                click.echo(f"{check}{reason}")
            yield check, outcome

    return list(made())


def print_summary(results: "list[tuple[Check, Outcome]]") -> None:
    """Explain each failure, and count how the checks ended."""
    for check, outcome in results:
        if outcome.state == "failed":
            click.echo(f"\n{check}")
            click.echo(f"  promise: {check.promise.text}")
            click.echo(f"  problem: {outcome.problem}\n  remedy:  {outcome.remedy}")
    counted = Counter(outcome.state for _, outcome in results)
    seconds = sum(outcome.seconds for _, outcome in results)
    states = ", ".join(f"{number} {state}" for state, number in counted.items())
    click.echo(f"\n{count_of(len(results), 'check')} in {seconds:.0f} s: {states or 'none'}")
