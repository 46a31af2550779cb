//! Tables and lists for people: no lines, one space-separated row a thing, the header set off.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table};

use super::text::cell;

/// Longest name in a table.
pub(super) const NAME: usize = 40;
/// Columns that are copied to the next command: never wrapped, however narrow the terminal is.
const UNBROKEN: [&str; 7] = ["RUN", "TASK", "WORKER", "QUEUE", "ID", "NEXT", "UUID"];
/// What an empty cell shows.
pub(super) const NOTHING_THERE: &str = "-";

/// How it is to look.
#[derive(Debug, Clone, Copy)]
pub(in crate::ctl) struct Look {
    /// Long rows are wrapped.
    pub(in crate::ctl) terminal: bool,
    /// Bold headers.
    pub(in crate::ctl) colour: bool,
}

impl Look {
    pub(super) fn rows(self, header: &[&str], rows: Vec<Vec<String>>) -> String {
        let mut table = self.plain();
        table.set_header(header.iter().map(|title| self.title(title)));
        table.add_rows(rows);
        for (column, title) in table.column_iter_mut().zip(header) {
            if UNBROKEN.contains(title) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        trimmed(table)
    }

    /// `label  value`, in order; without value no line.
    pub(super) fn fields(self, fields: Vec<(&str, Option<String>)>) -> String {
        let mut table = self.plain();
        for (label, value) in fields {
            if let Some(value) = value {
                table.add_row([self.title(label), Cell::new(value)]);
            }
        }
        trimmed(table)
    }

    fn title(self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.colour { cell.add_attribute(Attribute::Bold) } else { cell }
    }

    fn plain(self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(if self.terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        if !self.terminal {
            table.force_no_tty();
        }
        table
    }
}

fn trimmed(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

pub(super) fn or_nothing(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(|| NOTHING_THERE.to_owned(), cell)
}

pub(super) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| cell(text))
}
