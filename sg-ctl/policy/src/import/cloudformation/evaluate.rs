//! Intrinsic functions: what a value of a template is, as far as the template alone tells.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::conditions::Decided;
use super::meaning::{Cause, Causes, MAX_TEXT, Meaning, Unknown, cut, key, words};
use super::template::{MAX_STEPS, Template};
use crate::import::view::View;
use crate::text::document::Value;
use crate::text::report::Problems;

/// Subnets that `Fn::Cidr` makes at most.
const MAX_SUBNETS: u32 = 256;

impl<'a> Template<'a> {
    /// What a value is.
    pub(super) fn meaning(&mut self, view: &View<'a>, problems: &mut Problems<'_>) -> Meaning {
        self.evaluate(view, MAX_STEPS, problems)
    }

    /// What a value is, `steps` functions deep at most.
    pub(super) fn evaluate(
        &mut self,
        view: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Meaning {
        let Some(steps) = steps.checked_sub(1) else {
            return self.unknown(
                view,
                Causes::of(Cause::Stack("functions in functions".into())),
            );
        };
        match view.value() {
            Value::Null => return Meaning::Nothing,
            Value::Scalar(text) => return Meaning::text(text),
            Value::List(_) => {
                let items = view.items();
                let items = items
                    .iter()
                    .map(|item| self.evaluate(item, steps, problems));
                return Meaning::List(items.filter(|item| *item != Meaning::Nothing).collect());
            }
            Value::Mapping(_) => {}
        }
        let entries = view.entries();
        let [(function, value)] = entries.as_slice() else {
            return self.unknown(view, Causes::of(Cause::Stack("a value".to_owned())));
        };
        let found = match (*function, value.as_text()) {
            ("Ref", Some(name)) => Ok(self.reference(name, value, problems)),
            ("Fn::GetAtt", Some(path)) => Ok(self.attribute(path, value, steps, problems)),
            ("Fn::GetAtt", None) => {
                let parts = value.items();
                let parts: Vec<_> = parts.iter().filter_map(View::as_text).collect();
                Ok(self.attribute(&parts.join("."), value, steps, problems))
            }
            ("Fn::Sub", _) => Ok(self.substitute(value, steps, problems)),
            ("Fn::Join", _) => self.join(value, steps, problems),
            ("Fn::Select", _) => self.select(value, steps, problems),
            ("Fn::Split", _) => self.split(value, steps, problems),
            ("Fn::Cidr", _) => self.cidr(value, steps, problems),
            ("Fn::FindInMap", _) => self.find_in_map(value, steps, problems),
            ("Fn::If", _) => Ok(match self.decide(view.clone(), problems) {
                Decided::Value(view) => self.evaluate(&view, steps, problems),
                Decided::Nothing => Meaning::Nothing,
                Decided::Unknown(unknown) => Meaning::Unknown(unknown),
            }),
            ("Fn::ImportValue", _) => {
                let name = self.evaluate(value, steps, problems);
                self.import(name).map_err(Some)
            }
            (other, _) => Err(Some(Causes::of(Cause::Stack(other.to_owned())))),
        };
        found.unwrap_or_else(|causes| {
            let function = || Causes::of(Cause::Stack((*function).to_owned()));
            self.unknown(view, causes.unwrap_or_else(function))
        })
    }

    /// An expression that is not known.
    fn unknown(&self, view: &View<'_>, causes: Causes) -> Meaning {
        Meaning::Unknown(Unknown {
            key: format!("{}#{}", self.file, key(view)),
            words: words(view),
            causes,
            is_unmade: false,
        })
    }

    /// What another stack exports: what is given, or what a template that is read together says.
    fn import(&self, name: Meaning) -> Result<Meaning, Causes> {
        let Meaning::Text(name) = name else {
            return Err(name.causes());
        };
        if let Some(given) = self.given.imports.get(&name) {
            self.given.used.borrow_mut().insert(name);
            return Ok(Meaning::text(given));
        }
        if let Some(exported) = self.given.exports.get(&name) {
            return Ok(exported.clone());
        }
        let cause = Cause::Import(name.clone());
        Ok(Meaning::unknown(format!("export {name}"), name, cause))
    }

    fn substitute(
        &mut self,
        value: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Meaning {
        let items = value.items();
        let text = value.as_text().or_else(|| items.first()?.as_text());
        let variables = items.get(1);
        let mut rest = text.unwrap_or_default();
        let (mut result, mut causes, mut is_known) = (String::new(), Causes::default(), true);
        while let Some((before, after)) = rest.split_once("${") {
            result.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                result.push_str("${");
                rest = after;
                continue;
            };
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                result.extend(["${", literal, "}"]);
                continue;
            }
            let given = variables.and_then(|variables| variables.get(name));
            let meaning = match given {
                Some(given) => self.evaluate(&given, steps, problems),
                None if name.contains('.') => self.attribute(name, value, steps, problems),
                None => self.reference(name, value, problems),
            };
            // `!Sub "${Group}"` is the group.
            if result.is_empty() && rest.is_empty() {
                return meaning;
            }
            is_known &= matches!(meaning, Meaning::Text(_));
            causes.add(&meaning.causes());
            result.push_str(&meaning.into_text());
            if result.len() > MAX_TEXT {
                return Meaning::text(&result);
            }
        }
        result.push_str(rest);
        self.joined(value, &result, is_known.then_some(()).ok_or(causes))
    }

    /// A text that was put together, or is not known for these causes.
    fn joined(&self, value: &View<'_>, text: &str, known: Result<(), Causes>) -> Meaning {
        match known {
            Ok(()) => Meaning::text(text),
            Err(causes) => Meaning::Unknown(Unknown {
                key: format!("{}#{}", self.file, key(value)),
                words: cut(text),
                causes,
                is_unmade: false,
            }),
        }
    }

    fn join(&mut self, value: &View<'a>, steps: usize, problems: &mut Problems<'_>) -> Found {
        let items = value.items();
        let [separator, parts] = items.as_slice() else {
            return Err(None);
        };
        let separator = separator.as_text().ok_or(None)?;
        let mut parts = match self.evaluate(parts, steps, problems) {
            Meaning::List(parts) => parts,
            other => return Err(Some(other.causes())),
        };
        if parts.len() == 1 {
            return Ok(parts.swap_remove(0));
        }
        let (mut text, mut causes, mut is_known) = (String::new(), Causes::default(), true);
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                text.push_str(separator);
            }
            is_known &= matches!(part, Meaning::Text(_));
            causes.add(&part.causes());
            text.push_str(&part.into_text());
            if text.len() > MAX_TEXT {
                return Ok(Meaning::text(&text));
            }
        }
        Ok(self.joined(value, &text, is_known.then_some(()).ok_or(causes)))
    }

    fn select(&mut self, value: &View<'a>, steps: usize, problems: &mut Problems<'_>) -> Found {
        let items = value.items();
        let [index, list] = items.as_slice() else {
            return Err(None);
        };
        let index = self.known_text(index, steps, problems)?;
        let index: usize = index.parse().map_err(|_not_a_number| None)?;
        let mut list = match self.evaluate(list, steps, problems) {
            Meaning::List(list) => list,
            other => return Err(Some(other.causes())),
        };
        if index < list.len() {
            Ok(list.swap_remove(index))
        } else {
            let words = format!("a list of {} values has no number {index}", list.len());
            Err(Some(Causes::of(Cause::Stack(words))))
        }
    }

    fn split(&mut self, value: &View<'a>, steps: usize, problems: &mut Problems<'_>) -> Found {
        let items = value.items();
        let [separator, text] = items.as_slice() else {
            return Err(None);
        };
        let separator = separator.as_text().filter(|text| !text.is_empty());
        let separator = separator.ok_or(None)?;
        let text = self.known_text(text, steps, problems)?;
        let items = text.split(separator).map(Meaning::text);
        Ok(Meaning::List(items.collect()))
    }

    /// `Fn::Cidr`: so many ranges, each with so many bits for hosts.
    fn cidr(&mut self, value: &View<'a>, steps: usize, problems: &mut Problems<'_>) -> Found {
        let items = value.items();
        let (block, count, bits) = match items.as_slice() {
            [block, count] => (block, count, None),
            [block, count, bits] => (block, count, Some(bits)),
            _ => return Err(None),
        };
        // CloudFormation takes a list of one range, too.
        let block = match self.evaluate(block, steps, problems) {
            Meaning::List(mut list) if list.len() == 1 => list.swap_remove(0),
            other => other,
        };
        let Meaning::Text(block) = block else {
            return Err(Some(block.causes()));
        };
        let block: IpNet = block.parse().map_err(|_no_range| None)?;
        let count = self.known_text(count, steps, problems)?;
        let count: u32 = count.parse().map_err(|_not_a_number| None)?;
        let width = block.max_prefix_len();
        let bits = match bits {
            Some(bits) => self
                .known_text(bits, steps, problems)?
                .parse()
                .map_err(|_no| None)?,
            None => 8,
        };
        let length = width
            .checked_sub(bits)
            .filter(|length| *length >= block.prefix_len());
        let length = length
            .filter(|_| (1..=MAX_SUBNETS).contains(&count))
            .ok_or(None)?;
        subnets(block, length, count).ok_or(None)
    }

    fn find_in_map(
        &mut self,
        value: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Found {
        let items = value.items();
        let [map, keys @ ..] = items.as_slice() else {
            return Err(None);
        };
        let name = self.known_text(map, steps, problems)?;
        let missing = |key: &str| {
            let words = format!("the mapping {name} without {key}");
            Some(Causes::of(Cause::Stack(words)))
        };
        let mut found = self.mappings.get(name.as_str()).cloned();
        for key in keys.iter().take(2) {
            let key = self.known_text(key, steps, problems)?;
            found = found.and_then(|found| found.get(&key));
            if found.is_none() {
                let default = keys.get(2).and_then(|more| more.get("DefaultValue"));
                let default = default.ok_or_else(|| missing(&key))?;
                return Ok(self.evaluate(&default, steps, problems));
            }
        }
        let found = found.ok_or(None)?;
        Ok(self.evaluate(&found, steps, problems))
    }

    /// The text of an argument, or why it is not known.
    fn known_text(
        &mut self,
        view: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Result<String, Option<Causes>> {
        match self.evaluate(view, steps, problems) {
            Meaning::Text(text) => Ok(text),
            other => Err(Some(other.causes()).filter(|causes| !causes.is_empty())),
        }
    }
}

/// What a function comes to, or why that is not known; the function itself, if nothing else.
type Found = Result<Meaning, Option<Causes>>;

/// The first ranges of this length in `block`; `None` if there are not so many.
fn subnets(block: IpNet, length: u8, count: u32) -> Option<Meaning> {
    let more = u32::from(length - block.prefix_len());
    if more < 32 && count > 1 << more {
        return None;
    }
    let step = 1_u128.checked_shl(u32::from(block.max_prefix_len() - length));
    let step = step.unwrap_or_default();
    let texts = (0..u128::from(count)).map(|index| match block.network() {
        std::net::IpAddr::V4(first) => {
            let address = u128::from(first.to_bits()) + index * step;
            format!("{}/{length}", Ipv4Addr::from_bits(address as u32))
        }
        std::net::IpAddr::V6(first) => {
            let address = first.to_bits() + index * step;
            format!("{}/{length}", Ipv6Addr::from_bits(address))
        }
    });
    Some(Meaning::List(texts.map(Meaning::Text).collect()))
}
