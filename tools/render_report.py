#!/usr/bin/env python3
"""Fills web/report.html with a run's JSON, as the program does.

    render_report.py REPORT_JSON OUT_HTML [--template web/report.html]
"""

import argparse
import json
import pathlib
import sys

PLACEHOLDER = "/*REPORT_JSON*/null"
TEMPLATE = pathlib.Path(__file__).resolve().parent.parent / "web" / "report.html"


def render(template, report):
    """The page's text; "<" is escaped in the JSON, since inside a script it could begin something."""
    if template.count(PLACEHOLDER) != 1:
        raise ValueError(f"the template holds {PLACEHOLDER} {template.count(PLACEHOLDER)} times, expected once")
    text = json.dumps(report, ensure_ascii=False, allow_nan=False)
    return template.replace(PLACEHOLDER, text.replace("<", "\\u003c"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--template", type=pathlib.Path, default=TEMPLATE)
    args = parser.parse_args()
    try:
        page = render(args.template.read_text(), json.loads(args.report.read_text()))
    except (OSError, ValueError) as error:
        sys.exit(f"render_report: {args.report}: {error}")
    args.out.write_text(page)


if __name__ == "__main__":
    main()
