//! Tables without lines: a header and rows of words, fitted to the terminal, or one line per row where there is none.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::Style;

/// Columns of the terminal that standard output is, if it is one.
#[must_use]
pub(crate) fn terminal_width() -> Option<u16> {
    Table::new().width()
}

/// What one cell shows.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    text: String,
    color: Option<Color>,
    right: bool,
}

/// A cell with text.
pub(crate) fn text(text: impl Into<String>) -> Entry {
    Entry {
        text: super::human::clean(&text.into()),
        color: None,
        right: false,
    }
}

/// A cell with a number, aligned at the right.
pub(crate) fn number(text: impl Into<String>) -> Entry {
    Entry {
        text: text.into(),
        color: None,
        right: true,
    }
}

impl Entry {
    /// The same cell in a colour, where colours are used.
    #[must_use]
    pub(crate) fn color(mut self, color: Option<Color>) -> Self {
        self.color = color;
        self
    }
}

/// Renders a table. A header's column is aligned like the cells of the first row.
#[must_use]
pub(crate) fn render(style: Style, header: &[String], rows: Vec<Vec<Entry>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if style.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    if let Some(width) = style.width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    let align = |right: bool| {
        if right {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        }
    };
    let right: Vec<bool> = rows
        .first()
        .map(|row| row.iter().map(|entry| entry.right).collect())
        .unwrap_or_default();
    table.set_header(header.iter().enumerate().map(|(column, name)| {
        let cell = Cell::new(super::human::clean(name))
            .set_alignment(align(right.get(column).copied().unwrap_or(false)));
        if style.color {
            cell.add_attribute(Attribute::Bold)
        } else {
            cell
        }
    }));
    for row in rows {
        table.add_row(row.into_iter().map(|entry| {
            let cell = Cell::new(entry.text).set_alignment(align(entry.right));
            match entry.color {
                Some(color) if style.color => cell.fg(color),
                _ => cell,
            }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}
