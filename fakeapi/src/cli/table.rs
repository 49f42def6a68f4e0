//! Columns for a person: as wide as their widest cell, two spaces apart.

use std::io::{self, Write};

/// Starts and ends bold letters on a terminal.
const BOLD: (&str, &str) = ("\u{1b}[1m", "\u{1b}[0m");

/// What stands where there is nothing.
const NOTHING: &str = "-";

/// Writes `rows` under `header`, the header in bold when `colour` says so.
pub(super) fn write<const N: usize>(
    out: &mut dyn Write,
    colour: bool,
    header: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = header.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(shown(cell).chars().count());
        }
    }
    let title = line(&widths, header);
    if colour {
        writeln!(out, "{}{title}{}", BOLD.0, BOLD.1)?;
    } else {
        writeln!(out, "{title}")?;
    }
    for row in rows {
        writeln!(out, "{}", line(&widths, row.each_ref().map(|cell| shown(cell))))?;
    }
    Ok(())
}

fn shown(cell: &str) -> &str {
    if cell.is_empty() { NOTHING } else { cell }
}

fn line<const N: usize>(widths: &[usize; N], cells: [&str; N]) -> String {
    let padded = widths.iter().zip(cells).map(|(&width, cell)| format!("{cell:width$}"));
    let line = padded.collect::<Vec<_>>().join("  ");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows =
            [["a".to_owned(), "10.0.0.1:6443".to_owned()], ["longer-é".to_owned(), String::new()]];
        let mut plain = Vec::new();
        write(&mut plain, false, ["NAME", "ADDRESS"], &rows).unwrap();
        assert_eq!(
            String::from_utf8(plain).unwrap(),
            "NAME      ADDRESS\na         10.0.0.1:6443\nlonger-é  -\n"
        );
        let mut bold = Vec::new();
        write(&mut bold, true, ["A"], &[]).unwrap();
        assert_eq!(bold, b"\x1b[1mA\x1b[0m\n");
    }
}
