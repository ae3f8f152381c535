//! Parameters: their values, and what CloudFormation refuses as one.

use regex::Regex;

use super::meaning::Meaning;
use super::template::Template;
use crate::import::view::View;
use crate::text::report::Problems;

impl<'a> Template<'a> {
    /// What a parameter comes to: what is given, else its default, which is reported.
    pub(super) fn parameter(
        &self,
        name: &str,
        parameter: &View<'a>,
        problems: &mut Problems<'_>,
    ) -> Meaning {
        let kind = parameter.get("Type");
        let kind = kind.as_ref().and_then(View::as_text).unwrap_or_default();
        if let Some(given) = self.given.parameters.get(name) {
            check(name, given, kind, parameter, problems);
            return of_kind(kind, given);
        }
        // The default of such a parameter is the name under which a value is kept elsewhere.
        let is_elsewhere = kind.starts_with("AWS::SSM::Parameter::Value");
        let default = parameter.get("Default").filter(|_| !is_elsewhere);
        let Some((text, default)) = default.and_then(|view| Some((view.as_text()?, view))) else {
            return self.unknown_parameter(name);
        };
        check(name, text, kind, parameter, problems);
        let message = format!("the default `{text}` of the parameter is imported");
        let help = format!("if the stack has another value: --parameter {name}=VALUE");
        problems.warning(&default.at(), message, help);
        of_kind(kind, text)
    }
}

/// A value of a parameter of this type.
fn of_kind(kind: &str, text: &str) -> Meaning {
    let is_list = kind == "CommaDelimitedList" || kind.contains("List<");
    match Meaning::text(text) {
        Meaning::Text(text) if is_list => {
            let items = text.split(',').map(|item| Meaning::text(item.trim()));
            Meaning::List(items.collect())
        }
        meaning => meaning,
    }
}

/// Whether a type is that of a list, and the items of a value of it.
fn items<'t>(text: &'t str, kind: &str) -> (bool, Vec<&'t str>) {
    if kind.contains("List") {
        (true, text.split(',').map(str::trim).collect())
    } else {
        (false, vec![text])
    }
}

/// Reports a value that CloudFormation refuses.
fn check(name: &str, text: &str, kind: &str, parameter: &View<'_>, problems: &mut Problems<'_>) {
    let message = format!("the parameter `{name}` may not be `{text}`");
    let (_, items) = items(text, kind);
    if let Some(allowed) = parameter.get("AllowedValues") {
        let values = allowed.items();
        let values: Vec<_> = values.iter().filter_map(View::as_text).collect();
        if !items.iter().all(|item| values.contains(item)) {
            let help = format!("it may be: {}", values.join(", "));
            problems.error(&allowed.at(), message.clone(), help);
        }
    }
    if let Some(allowed) = parameter.get("AllowedPattern")
        && let Some(pattern) = allowed.as_text()
    {
        // All of the value has to match.
        match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) if items.iter().all(|item| regex.is_match(item)) => {}
            Ok(_) => {
                let help = format!("it has to match {pattern}");
                problems.error(&allowed.at(), message, help);
            }
            Err(_) => {
                let message = format!("the pattern of the parameter `{name}` is not understood");
                let help = format!("whether `{text}` matches it was not checked");
                problems.warning(&allowed.at(), message, help);
            }
        }
    }
    check_size((name, text), kind, parameter, problems);
}

/// Reports a value that is no number, too long or too short.
fn check_size(
    (name, text): (&str, &str),
    kind: &str,
    parameter: &View<'_>,
    problems: &mut Problems<'_>,
) {
    let mut refuse = |at: &View<'_>, why: String| {
        let message = format!("the parameter `{name}` may not be `{text}`");
        problems.error(&at.at(), message, why);
    };
    let (is_list, items) = items(text, kind);
    let is_number = kind == "Number" || kind == "List<Number>";
    if is_number && !items.iter().all(|item| item.parse::<f64>().is_ok()) {
        refuse(parameter, "it is a number".to_owned());
        return;
    }
    let bounds = [
        ("MinValue", is_number, true),
        ("MaxValue", is_number, false),
        ("MinLength", !is_number && !is_list, true),
        ("MaxLength", !is_number && !is_list, false),
    ];
    for (key, applies, is_least) in bounds {
        let Some(view) = parameter.get(key).filter(|_| applies) else {
            continue;
        };
        let Some(bound) = view.as_text().and_then(|bound| bound.parse::<f64>().ok()) else {
            continue;
        };
        let fits = |item: &&str| {
            let length = item.chars().count();
            let length = f64::from(u32::try_from(length).unwrap_or(u32::MAX));
            let size = if is_number {
                item.parse().unwrap_or(bound)
            } else {
                length
            };
            if is_least {
                size >= bound
            } else {
                size <= bound
            }
        };
        if !items.iter().all(fits) {
            refuse(&view, format!("{key} is {bound}"));
        }
    }
}
