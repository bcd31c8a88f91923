"""The launch form: conversion from and to a brief, with every error at its input."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict

from campaigns.form.inputs import (
    AudienceForm,
    BasicsForm,
    ComplianceForm,
    DottedForm,
    KpiForm,
    LineForm,
    SearchForm,
    SizeForm,
    TaskForm,
    TextForm,
)

#: The names of the repeated parts: the section and one row.
SECTIONS: Mapping[str, tuple[str, str]] = {
    "kpis": ("KPIs", "KPI"),
    "media_plan": ("Media plan", "Line"),
    "creative_sizes": ("Creatives", "Creative"),
    "tasks": ("Project tasks", "Task"),
}


class Rows:
    """A repeated part of the form; `forms` are its visible rows, including empty rows."""

    def __init__(self, name: str, form: type[DottedForm], most: int) -> None:
        self.name, self.form, self.most = name, form, most
        self.forms: list[DottedForm] = []
        self.faults: list[str] = []

    def read(self, data: QueryDict) -> None:
        """Read the rows of a submitted form in the order of their numbers."""
        pattern = re.compile(rf"{self.name}\.(\d{{1,3}})\.\w+", re.ASCII)
        found = {int(match[1]) for key in data if (match := pattern.fullmatch(key))}
        numbers = sorted(found)[: self.most + 1]
        rows = [self.form(data, prefix=f"{self.name}.{number}").raw() for number in numbers]
        self.fill(rows)

    def fill(self, rows: list[dict[str, Any]]) -> None:
        """Show these rows, numbered from 0."""
        self.forms = [
            self.form(_typed(row, f"{self.name}.{n}"), prefix=f"{self.name}.{n}")
            for n, row in enumerate(rows)
        ]

    def change(self, remove: int | None = None, add: bool = False) -> None:
        """Remove a row, or add an empty one."""
        rows = [form.raw() for n, form in enumerate(self.forms) if n != remove]
        self.fill([*rows, *([{}] if add and len(rows) < self.most else [])])

    def filled(self) -> list[DottedForm]:
        """Return the rows that are not empty."""
        return [form for form in self.forms if set(form.raw()) - {"format"}]

    @property
    def wrong(self) -> bool:
        """Return whether any row has an error."""
        return bool(self.faults) or any(form.errors for form in self.forms)

    def raw(self) -> list[dict[str, Any]]:
        """Return the rows that are not empty, in the form of a raw brief."""
        return [form.raw() for form in self.filled()]


def _typed(row: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return part of a raw brief as the texts of its inputs."""
    dot = f"{prefix}." if prefix else ""
    return {f"{dot}{key}": _as_text(value) for key, value in row.items() if not isinstance(value, Mapping)}


def _as_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "\n".join(str(one) for one in value)
    return "" if value is None else str(value)


class LaunchForm:
    """The whole form: its input, the raw brief made from it, and each error at its input."""

    PARTS: ClassVar[Mapping[str, type[DottedForm]]] = {
        "": BasicsForm,
        "search": SearchForm,
        "brief": TextForm,
        "brief.audience": AudienceForm,
        "brief.compliance": ComplianceForm,
    }
    REPEATED: ClassVar[Mapping[str, tuple[type[DottedForm], int]]] = {
        "kpis": (KpiForm, 50),
        "media_plan": (LineForm, 50),
        "creative_sizes": (SizeForm, 50),
        "tasks": (TaskForm, 100),
    }

    def __init__(self) -> None:
        self.parts = {prefix: form({}, prefix=prefix) for prefix, form in self.PARTS.items()}
        self.rows = {name: Rows(name, form, most) for name, (form, most) in self.REPEATED.items()}
        self.include_search = self.dry_run = False
        self.errors: list[tuple[str, str, str]] = []

    @classmethod
    def typed(cls, data: QueryDict) -> "LaunchForm":
        """Return the form as it was submitted."""
        form = cls()
        form.parts = {prefix: part(data, prefix=prefix) for prefix, part in cls.PARTS.items()}
        for rows in form.rows.values():
            rows.read(data)
        form.include_search = data.get("include_search") == "on"
        form.dry_run = "dry_run" in data
        return form

    @classmethod
    def of_brief(cls, raw: Mapping[str, Any], include_search: bool = False) -> "LaunchForm":
        """Return a form that is filled from a raw brief."""
        form = cls()
        for prefix, part in cls.PARTS.items():
            form.parts[prefix] = part(_typed(_inside(raw, prefix), prefix), prefix=prefix)
        for name, rows in form.rows.items():
            rows.fill(_rows_of(name, raw))
        form.include_search = include_search
        return form

    @classmethod
    def empty(cls) -> "LaunchForm":
        """Return an empty form with the first rows."""
        form = cls()
        for name, count in {"kpis": 2, "media_plan": 2, "creative_sizes": 2, "tasks": 2}.items():
            form.rows[name].fill([{}] * count)
        return form

    def raw(self) -> dict[str, Any]:
        """Return the raw brief without empty parts."""
        brief = self.parts[""].raw()
        brief |= {name: rows.raw() for name, rows in self.rows.items() if name != "kpis" and rows.filled()}
        if kpis := self.rows["kpis"].raw():
            brief["kpis"] = {row.get("name", ""): row.get("value", "") for row in kpis}
        if search := self.parts["search"].raw():
            brief["search"] = search
        written = self.parts["brief"].raw()
        for name in ("audience", "compliance"):
            if inner := self.parts[f"brief.{name}"].raw():
                written[name] = inner
        if written:
            brief["brief"] = written
        return brief

    def doubles(self) -> list[str]:
        """Return the names of KPIs that are listed twice; as keys of the brief, one would be lost."""
        names = [row.get("name", "") for row in self.rows["kpis"].raw()]
        return sorted({name for name in names if names.count(name) > 1})

    @property
    def basics(self) -> DottedForm:
        return self.parts[""]

    @property
    def search(self) -> DottedForm:
        return self.parts["search"]

    @property
    def texts(self) -> list[forms.BoundField]:
        """Return the inputs of the written brief in order."""
        names = ("brief", "brief.audience", "brief.compliance")
        return [bound for name in names for bound in self.parts[name]]

    def place(self, field: str, message: str) -> None:
        """Show an error at its input; `field` is a dotted path, "" for the whole brief."""
        field = f"{field}.".removeprefix("campaign.").rstrip(".")
        form, name, note = self._find(field)
        said = f"{note}{message}"
        if isinstance(form, DottedForm) and name:
            form.add_error(name, said)
            bound = form[name]
            self.errors.append((bound.id_for_label, self._label(form, str(bound.label)), said))
        elif isinstance(form, Rows):
            form.faults.append(said)
            self.errors.append((f"section-{form.name}", SECTIONS[form.name][0], said))
        else:
            # a name that is no field of the brief, such as TOOL_SERVERS, is shown unchanged
            self.errors.append(("", field.replace("_", " ") if field.islower() else field, said))

    def _find(self, field: str) -> tuple[DottedForm | Rows | None, str, str]:
        """Return the form and field, or the rows, that an error belongs to, and a prefix for its message."""
        head, _, rest = field.partition(".")
        if head in self.rows:
            return self._in_rows(self.rows[head], rest)
        prefix = max((p for p in self.parts if p and f"{field}.".startswith(f"{p}.")), key=len, default="")
        name, _, rest = field.removeprefix(prefix).strip(".").partition(".")
        part = self.parts[prefix]
        if name in part.fields:
            return part, name, f"line {int(rest) + 1}: " if rest.isdecimal() else ""
        # an error of a whole part is shown at its first field: "search is needed for a search campaign"
        return (part, next(iter(part.fields)), "") if prefix and not name else (None, "", "")

    def _in_rows(self, rows: Rows, rest: str) -> tuple[DottedForm | Rows, str, str]:
        key, _, name = rest.partition(".")
        filled = rows.filled()
        if rows.name == "kpis":
            named = [row for row in filled if _mark(row["name"].value() or "") == _mark(rest)]
            return (named[0], "value", "") if named else (rows, "", "")
        if not key.isdecimal() or int(key) >= len(filled):
            return rows, "", ""
        row = filled[int(key)]
        name = name.partition(".")[0]
        if name not in row.fields:
            name = next(iter(row.fields))
        return row, name, ""

    def _label(self, form: DottedForm, label: str) -> str:
        head, _, number = (form.prefix or "").partition(".")
        return f"{SECTIONS[head][1]} {int(number) + 1}, {label}" if number.isdecimal() else label


def _mark(key: str) -> str:
    """Return a KPI's name as it is written in the path of an error."""
    return re.sub(r"[^\w -]", "?", key.strip(), flags=re.ASCII)[:80]


def _inside(raw: Mapping[str, Any], prefix: str) -> Mapping[str, Any]:
    for key in prefix.split(".") if prefix else ():
        inner = raw.get(key)
        raw = inner if isinstance(inner, Mapping) else {}
    repeated = () if prefix else tuple(LaunchForm.REPEATED)
    return {key: value for key, value in raw.items() if key not in repeated}


def _rows_of(name: str, raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    value = raw.get(name) or []
    if isinstance(value, Mapping):
        return [{"name": key, "value": text} for key, text in value.items()]
    rows = [dict(row) for row in value if isinstance(row, Mapping)]
    for row in rows:
        if isinstance(row.get("sizes"), list | tuple):
            row["sizes"] = ", ".join(row["sizes"])
    return rows
