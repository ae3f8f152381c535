//! What came of the cases of `sg-ctl test`.

use std::fmt;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use schemars::JsonSchema;
use serde::Serialize;

use crate::verb::output::{Tone, counted};

/// A case.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CaseView {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) packet: String,
    pub(crate) expected: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) rule: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) passed: bool,
    /// What is not as expected.
    pub(crate) why: Vec<String>,
}

impl CaseView {
    /// The case, as one of a file.
    pub(crate) fn of_file(self, file: String) -> Self {
        Self { file, ..self }
    }
}

/// All cases.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CasesView {
    passed: usize,
    failed: usize,
    cases: Vec<CaseView>,
}

impl CasesView {
    /// The view of these cases.
    pub(crate) fn new(cases: Vec<CaseView>) -> Self {
        let passed = cases.iter().filter(|case| case.passed).count();
        Self {
            passed,
            failed: cases.len() - passed,
            cases,
        }
    }

    /// How many cases failed.
    pub(crate) const fn failed(&self) -> usize {
        self.failed
    }

    /// The report in the form of `JUnit`: one suite per file.
    ///
    /// # Errors
    /// When it cannot be written as XML.
    pub(crate) fn junit(&self) -> Result<String, quick_junit::SerializeError> {
        let mut report = Report::new("sg-ctl test");
        let mut suites: Vec<TestSuite> = Vec::new();
        for case in &self.cases {
            let status = if case.passed {
                TestCaseStatus::success()
            } else {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(case.why.join("; "));
                status
            };
            let mut entry = TestCase::new(case.name.as_str(), status);
            entry.set_classname(case.file.as_str());
            if suites
                .last()
                .is_none_or(|suite| suite.name.as_str() != case.file)
            {
                suites.push(TestSuite::new(case.file.as_str()));
            }
            if let Some(suite) = suites.last_mut() {
                suite.add_test_case(entry);
            }
        }
        report.add_test_suites(suites);
        report.to_string()
    }
}

impl fmt::Display for CasesView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let mark = if case.passed {
                Tone::Good.paint("ok    ")
            } else {
                Tone::Bad.paint("FAILED")
            };
            writeln!(f, "{mark} {}", case.name)?;
            if !case.passed && case.name != case.packet {
                writeln!(f, "         {}", case.packet)?;
            }
            for why in &case.why {
                writeln!(f, "         {why}")?;
            }
        }
        let total = counted(self.cases.len() as u64, "case");
        writeln!(f, "{total}: {} passed, {} failed", self.passed, self.failed)
    }
}
