//! Kernels of Debian, by the machine's package client.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use anyhow::{Context, Result, bail};

use crate::{
    apt::{Mirrors, PrivateApt},
    machine::Machine,
    progress::Step,
    setup,
    toolchain::tools_root,
};

/// Suites that have kernels and short lists of packages; by code name, for a series of kernels
/// belongs to a release.
const SUITES: [&str; 4] = [
    "bookworm-security",
    "trixie-security",
    "trixie-backports",
    "forky-backports",
];

/// Suites with long lists, asked when a series is not in the others.
const LARGE_SUITES: [&str; 2] = ["bookworm", "trixie"];

/// What a kernel's packages are called before its release; from 7.x on the image is an empty shell
/// and its contents are in the other two.
const PACKAGES: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// What of the kernel is in the packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    /// What machines of a cloud need: small, with BTF.
    Cloud,
    /// What any machine needs: PPP, too.
    Full,
}

impl Flavour {
    /// What the names of its packages end with.
    fn suffix(self, machine: Machine) -> String {
        let machine = machine.debian();
        match self {
            Self::Cloud => format!("-cloud-{machine}"),
            Self::Full => format!("-{machine}"),
        }
    }

    /// The modules that guests have beside [`MODULES`](super::guest::MODULES).
    pub(super) const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Cloud => &[],
            Self::Full => &["ppp_async"],
        }
    }
}

/// The first two numbers of a kernel version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series(u32, u32);

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let series = || {
            let (major, minor) = text.split_once('.')?;
            Some(Self(major.parse().ok()?, minor.parse().ok()?))
        };
        series().ok_or_else(|| format!("`{text}` is not a series of kernels, such as 6.12"))
    }
}

/// A release as Debian names it, such as `6.12.117+deb12`, in the order of its numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    numbers: Vec<u32>,
    name: String,
}

impl Release {
    /// Reads the name of a kernel image's package; `None` for other packages, such as those that
    /// stand for the newest of a series, are of another flavour, unsigned, or hold debug symbols.
    fn of_package(package: &str, suffix: &str) -> Option<Self> {
        let name = package.strip_prefix(PACKAGES[0])?.strip_suffix(suffix)?;
        let words = name.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<u32> = words.filter_map(|word| word.parse().ok()).collect();
        let mut parts = name.split('-');
        let is_release =
            numbers.len() > 2 && parts.all(|part| part.starts_with(|c: char| c.is_ascii_digit()));
        is_release.then(|| Self {
            numbers,
            name: name.to_owned(),
        })
    }

    fn series(&self) -> Series {
        Series(self.numbers[0], self.numbers[1])
    }
}

/// A kernel in the cache.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The series that it was fetched for.
    pub(super) series: Series,
    /// What it has.
    pub(super) flavour: Flavour,
    /// What QEMU boots.
    pub(super) image: PathBuf,
    /// The directory of its modules.
    pub(super) modules: PathBuf,
}

/// What the suites of the machine's mirrors have.
pub(super) struct Catalogue {
    machine: Machine,
    flavour: Flavour,
    cache: PathBuf,
    suites: Vec<(PrivateApt, BTreeSet<Release>)>,
    /// Why suites are not among them.
    missing: Vec<String>,
    _lock: fs::File,
}

impl Catalogue {
    /// Reads the lists of the suites, of as many as are needed to find all of `wanted`.
    ///
    /// # Errors
    /// When there is no package client, or the cache is not writable.
    pub(super) fn read(machine: Machine, flavour: Flavour, wanted: &[Series]) -> Result<Self> {
        let cache = cache(machine)?;
        let mut catalogue = Self {
            _lock: setup::lock(&cache)?,
            machine,
            flavour,
            cache,
            suites: Vec::new(),
            missing: Vec::new(),
        };
        let mirrors = Mirrors::find()?;
        let step = Step::start("kernels", "reading package lists");
        for suite in SUITES {
            catalogue.add(&step, &mirrors, suite)?;
        }
        for suite in LARGE_SUITES {
            if wanted
                .iter()
                .any(|series| catalogue.find(*series).is_none())
            {
                catalogue.add(&step, &mirrors, suite)?;
            }
        }
        let count: usize = catalogue.suites.iter().map(|(_, found)| found.len()).sum();
        step.done(&format!(
            "{count} kernels in {} suites",
            catalogue.suites.len()
        ));
        Ok(catalogue)
    }

    fn add(&mut self, step: &Step, mirrors: &Mirrors, suite: &str) -> Result<()> {
        let mirrors = if suite.ends_with("-security") {
            &mirrors.security
        } else {
            &mirrors.main
        };
        for (number, mirror) in mirrors.iter().enumerate() {
            let directory = self.cache.join(format!("apt/{suite}-{number}"));
            let apt = PrivateApt::new(&directory, self.machine, mirror, suite)?;
            // Without a network the lists of the last time still lead to what is in the cache.
            if let Err(error) = apt.update(step) {
                self.missing.push(format!("{suite} of {mirror}: {error:#}"));
            }
            let names = apt.names(PACKAGES[0])?;
            let suffix = self.suffix();
            let releases = names
                .iter()
                .filter_map(|name| Release::of_package(name, &suffix));
            self.suites.push((apt, releases.collect()));
        }
        Ok(())
    }

    /// What the names of kernels end with.
    fn suffix(&self) -> String {
        self.flavour.suffix(self.machine)
    }

    /// Returns the newest series that is listed.
    pub(super) fn newest(&self) -> Option<Series> {
        let releases = self.suites.iter().flat_map(|(_, found)| found.iter());
        releases.max().map(Release::series)
    }

    /// Returns why some suites could not be read.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Returns the newest release of a series, and who has it.
    fn find(&self, series: Series) -> Option<(&PrivateApt, &Release)> {
        let all = self.suites.iter();
        all.flat_map(|(apt, found)| found.iter().map(move |release| (apt, release)))
            .filter(|(_, release)| release.series() == series)
            .max_by_key(|(_, release)| *release)
    }

    /// Returns the newest kernel of a series, fetched unless it is in the cache; `None` when no
    /// suite has one.
    ///
    /// # Errors
    /// When it cannot be fetched or unpacked.
    pub(super) fn fetch(&self, series: Series) -> Result<Option<Kernel>> {
        let Some((apt, release)) = self.find(series) else {
            return Ok(None);
        };
        let suffix = self.suffix();
        let subject = format!("kernel {series}");
        let directory = match self.flavour {
            Flavour::Cloud => self.cache.join(&release.name),
            Flavour::Full => self.cache.join(format!("full-{}", release.name)),
        };
        if directory.is_dir() {
            Step::present(&subject, &directory.display().to_string());
        } else {
            let step = Step::start(&subject, &format!("fetching {}", release.name));
            let part = directory.with_added_extension("part");
            // Left over from an interrupted run, if at all.
            let _ = fs::remove_dir_all(&part);
            let names = PACKAGES.map(|prefix| format!("{prefix}{}{suffix}", release.name));
            let listed = |name: &String| apt.names(name).is_ok_and(|found| found.contains(name));
            let names: Vec<_> = names.into_iter().filter(listed).collect();
            for package in apt.download(&step, &names)? {
                step.run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&part))?;
                fs::remove_file(&package)
                    .with_context(|| format!("cannot remove {}", package.display()))?;
            }
            fs::rename(&part, &directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
            step.done(&directory.display().to_string());
        }
        let release = format!("{}{suffix}", release.name);
        Kernel::inside(series, self.flavour, &directory, &release).map(Some)
    }
}

/// Where kernels of a machine are kept, and what else its guests need.
pub(super) fn cache(machine: Machine) -> Result<PathBuf> {
    let cache = tools_root().map_err(anyhow::Error::msg)?.join("kernels");
    let cache = match machine {
        Machine::X86 => cache,
        Machine::Arm64 => cache.join(machine.debian()),
    };
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    Ok(cache)
}

impl Kernel {
    /// Finds image and modules among a package's files; both have moved over the years.
    fn inside(series: Series, flavour: Flavour, package: &Path, release: &str) -> Result<Self> {
        let modules = ["lib", "usr/lib"].map(|lib| package.join(lib).join("modules").join(release));
        let Some(modules) = modules.into_iter().find(|modules| modules.is_dir()) else {
            bail!("no modules in {}", package.display());
        };
        let images = [
            package.join(format!("boot/vmlinuz-{release}")),
            modules.join("vmlinuz"),
        ];
        let Some(image) = images.into_iter().find(|image| image.is_file()) else {
            bail!("no kernel image in {}", package.display());
        };
        Ok(Self {
            series,
            flavour,
            image,
            modules,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_from_other_packages() {
        let release = |package: &str| {
            Release::of_package(package, "-cloud-amd64").map(|release| release.name)
        };
        assert_eq!(
            release("linux-image-6.1.0-56-cloud-amd64").as_deref(),
            Some("6.1.0-56")
        );
        for other in [
            "linux-image-cloud-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64-dbg",
            "linux-image-6.1.0-56-cloud-amd64-unsigned",
            "linux-image-6.1.0-56-rt-amd64",
        ] {
            assert_eq!(release(other), None, "{other}");
        }
        let full = |package: &str| Release::of_package(package, "-amd64");
        assert!(full("linux-image-6.12.117+deb12-amd64").is_some());
        for other in ["cloud", "rt"] {
            let other = format!("linux-image-6.12.117+deb12-{other}-amd64");
            assert_eq!(full(&other), None, "{other}");
        }
    }

    #[test]
    fn releases_are_ordered_by_number() {
        let release =
            |name: &str| Release::of_package(&format!("linux-image-{name}-x"), "-x").unwrap();
        assert!(release("6.1.0-9") < release("6.1.0-56"));
        assert!(release("6.12.90+deb13") < release("6.12.90+deb13.1"));
        assert!(release("6.12.117+deb12") < release("6.18.5+deb13"));
        assert_eq!(release("6.12.117+deb12").series(), "6.12".parse().unwrap());
    }
}
