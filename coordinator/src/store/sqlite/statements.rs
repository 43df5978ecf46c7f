//! The statements that SQLite shares with Postgres.

use sqlx::{SqliteConnection, SqlitePool};

use super::super::sql::statements::statements;

statements!(reader: &SqlitePool, writer: &mut SqliteConnection, elements: "json_each");
