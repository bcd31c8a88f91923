"""The launch form and the brief, each made from the other, and every fault at its input."""

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

#: What the repeated parts are called, all of them and one of them.
SECTIONS: Mapping[str, tuple[str, str]] = {
    "kpis": ("KPIs", "KPI"),
    "media_plan": ("Media plan", "Line"),
    "creative_sizes": ("Creatives", "Creative"),
    "tasks": ("Project tasks", "Task"),
}


class Rows:
    """A part of the form that repeats. `forms` are its rows as they are shown, empty ones too."""

    def __init__(self, name: str, form: type[DottedForm], most: int) -> None:
        self.name, self.form, self.most = name, form, most
        self.forms: list[DottedForm] = []
        self.faults: list[str] = []

    def read(self, data: QueryDict) -> None:
        """Take the rows of a sent form, in the order of their numbers."""
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
        """Take one row out, or add an empty one."""
        rows = [form.raw() for n, form in enumerate(self.forms) if n != remove]
        self.fill([*rows, *([{}] if add and len(rows) < self.most else [])])

    def filled(self) -> list[DottedForm]:
        """Give the rows in which something stands."""
        return [form for form in self.forms if set(form.raw()) - {"format"}]

    @property
    def wrong(self) -> bool:
        """Tell whether some fault stands in here."""
        return bool(self.faults) or any(form.errors for form in self.forms)

    def raw(self) -> list[dict[str, Any]]:
        """Give the filled rows as the brief reads them."""
        return [form.raw() for form in self.filled()]


def _typed(row: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Give a piece of a raw brief as it would be typed into the inputs."""
    dot = f"{prefix}." if prefix else ""
    return {f"{dot}{key}": _as_text(value) for key, value in row.items() if not isinstance(value, Mapping)}


def _as_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "\n".join(str(one) for one in value)
    return "" if value is None else str(value)


class LaunchForm:
    """The whole form: what was typed, the raw brief it makes, and each finding at its input."""

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
        """Give the form as it was sent."""
        form = cls()
        form.parts = {prefix: part(data, prefix=prefix) for prefix, part in cls.PARTS.items()}
        for rows in form.rows.values():
            rows.read(data)
        form.include_search = data.get("include_search") == "on"
        form.dry_run = "dry_run" in data
        return form

    @classmethod
    def of_brief(cls, raw: Mapping[str, Any], include_search: bool = False) -> "LaunchForm":
        """Give the form filled with a raw brief."""
        form = cls()
        for prefix, part in cls.PARTS.items():
            form.parts[prefix] = part(_typed(_inside(raw, prefix), prefix), prefix=prefix)
        for name, rows in form.rows.items():
            rows.fill(_rows_of(name, raw))
        form.include_search = include_search
        return form

    @classmethod
    def empty(cls) -> "LaunchForm":
        """Give the form with nothing in it but room for the first rows."""
        form = cls()
        for name, count in {"kpis": 2, "media_plan": 2, "creative_sizes": 2, "tasks": 2}.items():
            form.rows[name].fill([{}] * count)
        return form

    def raw(self) -> dict[str, Any]:
        """Give the raw brief; a part in which nothing stands is left out."""
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
        """Give the names of KPIs that stand twice: in a brief, where they are keys, one would be lost."""
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
        """Give the inputs of the written brief, one after the other."""
        names = ("brief", "brief.audience", "brief.compliance")
        return [bound for name in names for bound in self.parts[name]]

    def place(self, field: str, message: str) -> None:
        """Put an error at its input; `field` is the dotted path of a fault, "" for the brief as a whole."""
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
            # what is no field of the brief (TOOL_SERVERS) is called exactly as it is
            self.errors.append(("", field.replace("_", " ") if field.islower() else field, said))

    def _find(self, field: str) -> tuple[DottedForm | Rows | None, str, str]:
        """Give where a fault belongs: a form and its field, or repeated rows; and what the message needs."""
        head, _, rest = field.partition(".")
        if head in self.rows:
            return self._in_rows(self.rows[head], rest)
        prefix = max((p for p in self.parts if p and f"{field}.".startswith(f"{p}.")), key=len, default="")
        name, _, rest = field.removeprefix(prefix).strip(".").partition(".")
        part = self.parts[prefix]
        if name in part.fields:
            return part, name, f"line {int(rest) + 1}: " if rest.isdecimal() else ""
        # a fault of a whole part stands at its first field: "search is needed for a search campaign"
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
    """A KPI's name as a fault's path writes it."""
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
