"""Rows that are written with every call, in plain SQL built from the models' fields.

The ORM builds each statement again, which costs more than running it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field, Model


def insert(model: type[Model], **values: Any) -> int:
    """Insert a row and return its primary key; a missing field gets its default."""
    sql, fields = _inserting(model)
    row = (values.get(field.attname, _MISSING) for field in fields)
    prepared = [
        _prepared(field, field.get_default() if value is _MISSING else value)
        for field, value in zip(fields, row, strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, prepared)
        return int(cursor.fetchone()[0])


def update(model: type[Model], pk: int, more: Mapping[str, float] | None = None, **values: Any) -> None:
    """Update fields of one row; those in `more` are increased by the given amount."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    changes = [f"{_quoted(name)} = %s" for name in values]
    changes += [f"{_quoted(name)} = {_quoted(name)} + %s" for name in more or ()]
    sql = f"UPDATE {_quoted(model._meta.db_table)} SET {', '.join(changes)} WHERE id = %s"  # noqa: S608 ours
    given = [*values.items(), *(more or {}).items()]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(_prepared(fields[name], value) for name, value in given), pk])


_MISSING = object()


@cache
def _inserting(model: type[Model]) -> tuple[str, tuple["Field[Any, Any]", ...]]:
    fields = tuple(field for field in model._meta.concrete_fields if not field.primary_key)
    columns = ", ".join(_quoted(str(field.column)) for field in fields)
    places = ", ".join("%s" for _ in fields)
    table = _quoted(model._meta.db_table)
    return f"INSERT INTO {table} ({columns}) VALUES ({places}) RETURNING id", fields  # noqa: S608


def _prepared(field: "Field[Any, Any]", value: Any) -> Any:
    return field.get_db_prep_save(value, connection)


def _quoted(name: str) -> str:
    return f'"{name}"'
