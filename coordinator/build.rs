//! Builds the coordinator again when a migration changes: `sqlx::migrate!` embeds them, and cargo does not see that.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/postgres");
    println!("cargo:rerun-if-changed=../migrations/sqlite");
}
