# SPDX-License-Identifier: Apache-2.0
"""`mapgate models`: the versions in the model registry, what is known of them, and what is decided on them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pipelines.client import decisions, deployments, provenance, registry, surroundings
from pipelines.client.comparison import compare
from pipelines.client.connection import Connection
from pipelines.client.decisions import Outlook
from pipelines.client.deployment import Deployment
from pipelines.client.deployments import Records
from pipelines.client.links import Recorded
from pipelines.client.refusals import refusal
from pipelines.client.registry import Version
from pipelines.commands.completion import version_numbers
from pipelines.commands.terminal import Json, complaints, console, destination, print_json
from pipelines.display import history, links
from pipelines.display.comparison import BRACKETS, drawn, markdown, tables
from pipelines.display.facts import fact_lines, sentence_lines
from pipelines.display.versions import Section, judged, sections, told_time
from pipelines.errors import BadInputError, WorkFailedError

app = typer.Typer(
    name="models",
    no_args_is_help=True,
    help="Versions in the model registry: list, show, compare, approve, reject, history, provenance.",
    epilog="Examples: `mapgate models show` · `mapgate models compare 2 3` · "
    '`mapgate models approve 3 --reason "Better on bikes."`',
)

Number = Annotated[
    int,
    typer.Argument(metavar="VERSION", help="The version's number in the registry.", autocompletion=version_numbers),
]
Newest = Annotated[
    int | None,
    typer.Argument(metavar="VERSION", help="The newest where left out.", autocompletion=version_numbers),
]
Reason = Annotated[str | None, typer.Option(help="Why. The registry and the deployer's records keep it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list", epilog="Examples: `mapgate models list` · `mapgate models list --json`")
def list_models(context: typer.Context, as_json: Json = False) -> None:
    """Every version, newest first."""
    connection, deployment = _deployed(context)
    listed = registry.versions(connection, deployment.model_package_group)
    records = deployments.read(connection, deployment)
    serves = records.champion.version if records.champion else None
    if as_json:
        print_json([version.as_json() | {"serves": version.number == serves} for version in listed])
        return
    table = Table("version", "approval", "mAP", "mAP_50", "runtime", "created")
    for version in listed:
        metrics = [version.dossier.get(key, "") for key in ("mAP", "mAP_50", "runtime")]
        approval = f"{version.approval}, serves" if version.number == serves else version.approval
        table.add_row(str(version.number), approval, *metrics, f"{version.created:%Y-%m-%d %H:%M:%S}")
    console.print(table)


@app.command(
    "show",
    epilog="Examples: `mapgate models show` · `mapgate models show 3 --report report.html`",
)
def show_model(
    context: typer.Context,
    version: Newest = None,
    report: Annotated[Path | None, destination("Save the version's report.html here.")] = None,
    as_json: Json = False,
) -> None:
    """A version: what it is, how good and how sure, what it is worse at than what serves, who approved it and why."""
    connection, deployment = _deployed(context)
    found = registry.version(connection, deployment.model_package_group, version)
    if report:
        registry.save_report(connection, found, report, deployment.data_bucket)
    records = deployments.read(connection, deployment)
    evaluation, missing = _evaluation(connection, found)
    if as_json:
        serves = records.champion is not None and records.champion.version == found.number
        known = {"serves": serves, "evaluation": evaluation, "model_card": found.card or None}
        print_json(found.as_json() | known)
        return
    console.print(Text.assemble(f"version {found.number} ", (found.approval, "bold")))
    _print(list(sections(found, evaluation, records)))
    if missing:
        console.print(f"\nIts evaluation cannot be shown: {missing}")


@app.command(
    "compare", epilog="Examples: `mapgate models compare 2 3` · `mapgate models compare 2 3 --markdown > comparison.md`"
)
def compare_models(
    context: typer.Context,
    first: Annotated[int, typer.Argument(metavar="A", help="A version's number.", autocompletion=version_numbers)],
    second: Annotated[int, typer.Argument(metavar="B", help="Another's.", autocompletion=version_numbers)],
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a page or a ticket.")] = False,
    as_json: Json = False,
) -> None:
    """Two versions beside each other: metrics with intervals, classes, data, settings and code, and what differs."""
    connection, deployment = _deployed(context)
    one, other = (registry.version(connection, deployment.model_package_group, number) for number in (first, second))
    found = compare(one, registry.evaluation(connection, one), other, registry.evaluation(connection, other))
    if as_json:
        print_json(found.as_json())
    elif as_markdown:
        print(markdown(found))
    else:
        for heading, columns, rows in tables(found):
            if rows and heading != "What is the same":
                console.print(Text(f"\n{heading}", "bold"))
                console.print(drawn(columns, rows, console.width))
        _say(*found.notes, BRACKETS, indent=0)


@app.command(
    "approve",
    epilog='Examples: `mapgate models approve 3` · `mapgate models approve 3 --yes --reason "Better on bikes."` · '
    '`mapgate models approve 3 --override --reason "v2 was withdrawn."`',
)
def approve_model(
    context: typer.Context,
    version: Number,
    reason: Reason = None,
    override: Annotated[
        bool,
        typer.Option(
            "--override", help="Let it go although what it was compared with no longer serves; needs a --reason."
        ),
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Show a version's verdict and what approving it will do, ask, and approve it; production follows by itself."""
    connection, deployment = _deployed(context)
    described = _described(reason, override)
    found = registry.version(connection, deployment.model_package_group, version)
    records = deployments.read(connection, deployment)
    around = surroundings.look(connection, deployment, found)
    outlook = decisions.approval(found, records, override=override, around=around)
    if not as_json:
        evaluation, missing = _evaluation(connection, found)
        _print(list(judged(found, evaluation, records)) if evaluation else [])
        if missing:
            console.print(f"Its evaluation cannot be shown: {missing}")
    again = _is_approved_anew(found, records)
    if found.approval == "Approved" and not again:
        _tell(found, outlook, "Approved", as_json, changed=False)
        return
    _ask(found, outlook, "Approve", yes, as_json)
    if again:  # the registry tells nobody of an approval that is no change
        registry.decide(connection, found.arn, "PendingManualApproval", found.reason)
    registry.decide(connection, found.arn, "Approved", described)
    _tell(found, outlook, "Approved", as_json)


@app.command("reject", epilog='Example: `mapgate models reject 3 --reason "Misses every second bike at night."`')
def reject_model(
    context: typer.Context, version: Number, reason: Reason = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Show what rejecting a version will do, ask, and reject it; what serves is rolled back by itself."""
    connection, deployment = _deployed(context)
    described = _described(reason, override=False)
    found = registry.version(connection, deployment.model_package_group, version)
    records = deployments.read(connection, deployment)

    def refuses(number: int) -> str | None:
        try:
            before = registry.version(connection, deployment.model_package_group, number)
        except BadInputError as gone:  # somebody deleted it, and no event has told the deployer yet
            return str(gone)
        around = surroundings.look(connection, deployment, before)
        return refusal(before, records, around, override=True)  # nothing is compared with what was rejected

    outlook = decisions.rejection(found, records, refuses)
    if found.approval == "Rejected" and described in (None, found.reason):
        _tell(found, Outlook(["It was Rejected before: nothing changes."]), "Rejected", as_json, changed=False)
        return
    _ask(found, outlook, "Reject", yes, as_json)
    registry.decide(connection, found.arn, "Rejected", described)
    _tell(found, outlook, "Rejected", as_json)


@app.command("history", epilog="Examples: `mapgate models history` · `mapgate models history 3 --json`")
def model_history(
    context: typer.Context,
    version: Annotated[
        int | None,
        typer.Argument(metavar="VERSION", help="Of all where left out.", autocompletion=version_numbers),
    ] = None,
    as_json: Json = False,
) -> None:
    """What happened: who approved what, when and why, what was refused or rolled back, what served when."""
    connection, deployment = _deployed(context)
    records = deployments.read(connection, deployment)
    if records.unreadable:
        raise BadInputError(records.unreadable)
    listed = registry.versions(connection, deployment.model_package_group)
    told = [one for one in history.happened(listed, records) if version in (None, one.version)]
    served = [one for one in history.terms(records) if version in (None, one.version)]
    if as_json:
        print_json({"events": [one.as_json() for one in told], "served": [one.as_json() for one in served]})
        return
    for one in told:
        console.print(Text.assemble(f"{told_time(one.at)}  ", (f"version {one.version} {one.kind}", "bold")))
        _say(*one.sentences, indent=4)
    if served:
        console.print(Text("\nWhat served", "bold"))
    for term in served:
        console.print(f"  version {term.version}  {told_time(term.begun)} to {term.told_end()}")
    if not told:
        console.print("nothing is recorded")


@app.command("provenance", epilog="Examples: `mapgate models provenance 3` · `mapgate models provenance 3 --artifact`")
def model_provenance(
    context: typer.Context,
    version: Number,
    with_artifact: Annotated[
        bool, typer.Option("--artifact", help="Also read the model's archive and hold it against its digest.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The chain from data set to deployment, with digests and signatures; exit code 1 where a link does not hold."""
    connection, deployment = _deployed(context)
    found = registry.version(connection, deployment.model_package_group, version)
    records = deployments.read(connection, deployment)
    recorded = Recorded(records.verdicts.get(version), records.approvals.get(version))
    chain = provenance.chain(connection, deployment, found.number, recorded, with_artifact=with_artifact)
    notes = [*chain.notes, *([records.unreadable] if records.unreadable else [])]
    if as_json:
        print_json(chain.as_json() | {"notes": notes})
    else:
        for heading, facts in links.told(chain):
            console.print(Text(heading, "bold"))
            for line in fact_lines(facts, console.width):
                console.print(line)
        for note in notes:
            console.print(note)
    if not chain.holds:
        broken = [link.kind for link in chain.links if not link.holds]
        what = f"{', '.join(broken)}: what was signed does not hold" if broken else "nothing is proven"
        raise WorkFailedError(f"version {version}: {what}")


def _deployed(context: typer.Context) -> tuple[Connection, Deployment]:
    connection: Connection = context.obj
    return connection, Deployment.find(connection)


def _evaluation(connection: Connection, found: Version) -> tuple[dict[str, Any] | None, str]:
    """A version's evaluation, or why there is none to show."""
    try:
        return registry.evaluation(connection, found), ""
    except BadInputError as error:
        return None, str(error)


def _described(reason: str | None, override: bool) -> str | None:
    try:
        return decisions.reason_of(reason, override=override)
    except ValueError as error:
        raise BadInputError(str(error)) from error


def _is_approved_anew(found: Version, records: Records) -> bool:
    """Whether approving an approved version once more begins afresh: it did not get to production, or left it again."""
    known, serves = records.approvals.get(found.number), records.champion and records.champion.version
    if found.approval != "Approved" or known is None or found.number in (serves, records.attempt):
        return False
    return known.outcome in ("failed", "refused") or (known.is_eligible and decisions.newest(records) != known)


def _ask(found: Version, outlook: Outlook, verb: str, yes: bool, as_json: bool) -> None:
    """Say what will happen and ask, where somebody sits before it.

    Raises:
        typer.Exit: They would rather not.
    """
    if not as_json:
        refused = [f"It will be refused: {outlook.refusal}"] if outlook.refusal else []
        console.print("")
        _say(*outlook.sentences, *refused, indent=0)
    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(f"{verb} version {found.number}?", default=False, err=as_json):
        complaints.print(f"version {found.number} is {found.approval}, as before")
        raise typer.Exit(1)


def _tell(found: Version, outlook: Outlook, decision: str, as_json: bool, *, changed: bool = True) -> None:
    if as_json:
        print_json({"version": found.number, "approval": decision, "changed": changed, **outlook.as_json()})
        return
    if not changed:
        _say(*outlook.sentences, indent=0)
    console.print(f"version {found.number} is {decision}" + ("" if changed else ", as it was"))
    if changed and outlook.changes:
        console.print(complaints.addressed("`mapgate endpoints` shows how far production is"))


def _print(told: list[Section]) -> None:
    for section in told:
        console.print(Text(f"\n{section.heading}", "bold"))
        for line in fact_lines(section.facts, console.width):
            console.print(line)
        _say(*section.sentences)
        if section.table is not None and section.table.row_count:
            console.print(section.table)


def _say(*told: str, indent: int = 2) -> None:
    for sentence in told:
        for line in sentence_lines(complaints.addressed(sentence), console.width, indent=indent):
            console.print(line)
