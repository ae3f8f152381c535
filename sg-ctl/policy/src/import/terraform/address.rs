//! Addresses of resources and modules, such as `module.a["x"].aws_security_group.web[0]`.

/// The parts of an address; dots in an instance key (`web["a.b"]`) part nothing.
pub(super) fn parts(address: &str) -> Vec<&str> {
    let mut quoted = false;
    let mut escaped = false;
    let is_end = |sign: char| {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        sign == '.' && !quoted
    };
    address.split(is_end).collect()
}

/// `web` and `["a"]` of `web["a"]`.
pub(super) fn split_key(part: &str) -> (&str, &str) {
    part.split_at(part.find('[').unwrap_or(part.len()))
}

/// An address, and the instance key at its end.
pub(super) fn instance(address: &str) -> (&str, &str) {
    let last = parts(address).last().map_or(0, |last| last.len());
    let (_, key) = split_key(&address[address.len() - last..]);
    address.split_at(address.len() - key.len())
}

/// An address without any instance key.
pub(super) fn plain(address: &str) -> String {
    let parts = parts(address).into_iter().map(|part| split_key(part).0);
    parts.collect::<Vec<_>>().join(".")
}

/// The module that holds a module; `None` for the root.
pub(super) fn caller(module: &str) -> Option<&str> {
    let call = *parts(module).last()?;
    let rest = module.strip_suffix(call)?.strip_suffix("module.")?;
    Some(rest.strip_suffix('.').unwrap_or(rest))
}

/// The address in a module.
pub(super) fn join(module: &str, address: &str) -> String {
    if module.is_empty() {
        address.to_owned()
    } else {
        format!("{module}.{address}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_brackets_in_a_key_part_nothing() {
        let address = r#"module.a["x.y"].module.b.aws_security_group.web["c]\".d[0"]"#;
        assert_eq!(
            instance(address),
            (
                r#"module.a["x.y"].module.b.aws_security_group.web"#,
                r#"["c]\".d[0"]"#
            )
        );
        assert_eq!(plain(address), "module.a.module.b.aws_security_group.web");
        assert_eq!(
            caller(r#"module.a["x.y"].module.b"#),
            Some(r#"module.a["x.y"]"#)
        );
        assert_eq!(caller("module.a"), Some(""));
        assert_eq!(caller(""), None);
    }
}
