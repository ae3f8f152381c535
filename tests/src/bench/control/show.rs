//! The tables of this part.

use std::fmt;

use super::{Control, InterfacesRow};
use crate::bench::report::{lines, table};

/// Writes what was measured.
pub(crate) fn write(control: &Control, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Control {
        changes,
        flows,
        memory,
        interfaces,
    } = control;
    if !changes.is_empty() {
        writeln!(
            f,
            "\nchanges of rules, ms: in the process the text and the image, as a command from file to \
             enforced\n"
        )?;
        let mut table = table(&[
            "RULES",
            ">READ",
            ">COMPILE",
            ">APPLY",
            ">ONE MEMBER",
            ">IMAGE KIB",
            ">KERNEL KIB",
        ]);
        let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
        for row in changes {
            table.add_row([
                row.amount.name(),
                time(Some(row.read)),
                time(Some(row.compile)),
                time(row.apply),
                time(row.change),
                (row.image >> 10).to_string(),
                (row.kernel >> 10).to_string(),
            ]);
        }
        write!(f, "{}", lines(&table))?;
    }
    if !flows.is_empty() {
        writeln!(f, "\nlists of flows, ms\n")?;
        let mut table = table(&["FLOWS", ">TOP 10", ">OF ONE HOST", ">ALL, JSON"]);
        for row in flows {
            let time = |ms: f64| format!("{ms:.0}");
            table.add_row([
                row.flows.to_string(),
                time(row.top),
                time(row.filtered),
                time(row.all),
            ]);
        }
        write!(f, "{}", lines(&table))?;
    }
    if !memory.is_empty() {
        writeln!(f, "\nkernel memory of all maps but the image, MiB\n")?;
        let mut table = table(&["FLOWS THAT FIT", ">FLOW TABLE", ">ALL MAPS"]);
        for row in memory {
            table.add_row([
                row.flows.to_string(),
                (row.table >> 20).to_string(),
                (row.maps >> 20).to_string(),
            ]);
        }
        write!(f, "{}", lines(&table))?;
    }
    write_interfaces(interfaces, f)
}

fn write_interfaces(rows: &[InterfacesRow], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !rows.is_empty() {
        writeln!(
            f,
            "\nmany interfaces: commands, ms; kernel memory of a further one beside counters, of the \
             whole machine\n"
        )?;
        let mut table = table(&[
            "INTERFACES",
            ">A SECOND ONE",
            ">ONE MORE",
            ">RESTORE ALL",
            ">EMPTY PROGRAM",
            ">KIB EACH",
        ]);
        for row in rows {
            table.add_row([
                row.interfaces.to_string(),
                format!("{:.1}", row.second),
                format!("{:.1}", row.more),
                format!("{:.0}", row.restore),
                format!("{:.0}", row.empty),
                format!("{:.1}", row.memory),
            ]);
        }
        write!(f, "{}", lines(&table))?;
    }
    Ok(())
}
