"""The floor's two tables and their two indexes; it must not know who fills them."""

import psycopg

STATEMENTS = (
    """create table challenge (id bigint generated always as identity primary key, phone text not null,
    digest bytea not null, expires_at timestamptz not null, used_at timestamptz)""",
    "create index challenge_phone_id on challenge (phone, id desc)",
    """create table users (id bigint generated always as identity primary key, phone text not null unique,
    created_at timestamptz not null default now(), last_login timestamptz not null default now())""",
)


def create_schema(database_url: str) -> None:
    """Create the floor's tables in an empty database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in STATEMENTS:
            connection.execute(statement)
