//! `sg-ctl man`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use anyhow::Context as _;
use clap::builder::Resettable;
use clap::{Command, CommandFactory as _, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::verb::{Cli, output};

/// What the help of `man` says beyond the options.
const HELP: &str = "\
EXAMPLES:
    sg-ctl man | man -l -
    sg-ctl man /usr/local/share/man/man1";

/// Print the manual page, or write all pages into a directory.
///
/// There is one page for sg-ctl and one for each verb, in the format of man(7).
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Directory for the pages, made if it is not there; without it the page of sg-ctl is printed.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,
}

/// Prints the page of sg-ctl, or writes the pages of all verbs.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    if let Some(directory) = &args.directory {
        fs::create_dir_all(directory)
            .and_then(|()| write_pages(&command, directory))
            .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
    } else {
        output::text(String::from_utf8_lossy(&page(&command)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_pages(command: &Command, directory: &Path) -> io::Result<()> {
    for verb in command.get_subcommands() {
        write_pages(verb, directory)?;
    }
    let file = Man::new(command.clone()).get_filename();
    fs::write(directory.join(file), page(command)?)
}

/// The page of a verb. What stands below its options is laid out by hand, so it is set as it is;
/// `clap_mangen` would fill its lines.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let below = command.get_after_long_help().map(ToString::to_string);
    let above = command
        .clone()
        .version(Resettable::Reset)
        .after_help(Resettable::Reset)
        .after_long_help(Resettable::Reset);
    let mut page = Vec::new();
    Man::new(above)
        .source(concat!("sg-ctl ", env!("CARGO_PKG_VERSION")))
        .manual("sg")
        .render(&mut page)?;
    page.extend(sections(&below.unwrap_or_default()).to_roff().into_bytes());
    Ok(page)
}

/// Text with headings like `EXAMPLES:` in the first column, as sections of a page.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    for line in text.lines() {
        let rest = match line.split_once(':') {
            Some((heading, rest)) if is_heading(heading) => {
                roff.control("fi", []);
                roff.control("SH", [heading]);
                roff.control("nf", []);
                rest.trim_start()
            }
            _ => line,
        };
        roff.text([roman(rest)]);
    }
    roff.control("fi", []);
    roff
}

fn is_heading(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_uppercase() || c == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_become_sections_and_lines_stay_as_they_are() {
        let text = "JSON: an array\n  of objects\n\nEXAMPLES:\n    sg-ctl flows\n";
        assert_eq!(
            sections(text).to_roff(),
            ".fi\n.SH JSON\n.nf\nan array\n  of objects\n\n\
             .fi\n.SH EXAMPLES\n.nf\n\n    sg\\-ctl flows\n.fi\n"
        );
    }
}
