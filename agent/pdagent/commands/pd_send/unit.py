"""`pd-send unit`: page for a systemd unit that has failed. pdagent-failed@.service calls it."""

import os

from pdagent import exits
from pdagent.acceptance import say
from pdagent.commands import common, sending
from pdagent.commands.pd_send import options
from pdagent.commands.pd_send.conclusion import Conclusion
from pdagent.encoding import unless_blank
from pdagent.jobs import units, wording
from pdagent.jobs.passing import KEPT_BYTES
from pdagent.shown import printable
from pdagent.submission import Submission

OURS = "pdagent-failed@"


class Unit(Submission):
    """The options of one `pd-send unit`."""

    __slots__ = ("output_lines", "unit")

    def __init__(self) -> None:
        super().__init__()
        self.unit = ""
        self.output_lines = wording.LINES


def parser() -> common.Parser:
    parser = common.Parser.of(
        "pd-send unit",
        "Page that a systemd unit has failed, with its result and its last lines in the journal. "
        "Or resolve the incident, if it has succeeded. The unit pdagent-failed@.service calls this "
        "for the units whose OnFailure= or OnSuccess= names it.",
        (("pd-send unit -k @db backup.service", "page for what became of it"),),
    )
    group = common.options(parser)
    options.key(group)
    group.add_argument(
        "-d", "--description", help="Short description of the problem (default: how it ended)"
    )
    group.add_argument(
        "-i",
        "--incident-key",
        help="Incident Key, also called dedup key (default: made of host and unit)",
    )
    options.lines(group, "in the journal", "0: none")
    options.about(group)
    group.add_argument("unit", metavar="UNIT", help="the unit, with its suffix")
    return parser


def main(arguments: list[str]) -> int:
    arguments_parser = parser()
    asked = Unit()
    arguments_parser.parse_args(arguments, namespace=asked)
    asked.fields = asked.fields or []
    if not units.is_name(asked.unit):
        # A page for what is no unit would never be resolved.
        arguments_parser.error(f"{asked.unit!r} is not the name of a unit, such as backup.service")
    if asked.unit.startswith(OURS):
        # If each service pages for its failures, this one would page for its own without end.
        say(f"pd-send: {printable(asked.unit)} pages for other units, never for itself", 2)
        return exits.DONE
    default = f"{os.uname().nodename}/{asked.unit}"
    asked.incident_key = unless_blank(asked.incident_key) or default
    conclusion = Conclusion(asked, sending.settings_of(asked))
    conclusion.check(arguments_parser)
    result = units.told(asked.unit, os.environ) or units.asked(asked.unit)
    if not result.failed:
        return exits.DONE if conclusion.succeeded() else exits.TRY_AGAIN
    details: dict[str, object] = {"unit": asked.unit, **result.details()}
    written = units.journal(asked.unit, asked.output_lines, os.environ)[-KEPT_BYTES:]
    output = wording.last_lines(written, asked.output_lines)
    if output:
        details["output"] = output
    summary = f"{printable(asked.unit)} failed on {asked.host()}: {result.how()}"
    return exits.DONE if conclusion.failed(summary, details) else exits.TRY_AGAIN
