//! The statements that Postgres shares with SQLite.

use sqlx::PgPool;

use super::super::sql::statements::statements;

statements!(reader: &PgPool, writer: &PgPool, elements: "json_array_elements_text");
