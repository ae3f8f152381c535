//! Parameters: their values, and what CloudFormation refuses as one.

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

/// Reports a value that CloudFormation refuses.
fn check(name: &str, text: &str, kind: &str, parameter: &View<'_>, problems: &mut Problems<'_>) {
    let mut refuse = |at: &View<'_>, why: String| {
        let message = format!("the parameter `{name}` may not be `{text}`");
        problems.error(&at.at(), message, why);
    };
    let is_list = kind.contains("List");
    let items: Vec<&str> = if is_list {
        text.split(',').map(str::trim).collect()
    } else {
        vec![text]
    };
    if let Some(allowed) = parameter.get("AllowedValues") {
        let values = allowed.items();
        let values: Vec<_> = values.iter().filter_map(View::as_text).collect();
        if !items.iter().all(|item| values.contains(item)) {
            refuse(&allowed, format!("it may be: {}", values.join(", ")));
        }
    }
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
