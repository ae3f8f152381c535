//! Pages of long lists: `MaxResults` and `NextToken`.
//!
//! Things are shown in the order of their ids, so that a list that changes between two pages loses and
//! repeats nothing that stays. A token names the last thing shown, signed, so that nobody makes one up.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::form::Form;
use super::refusal::Refusal;
use super::sigv4::hex;
use super::xml::Node;

/// Digits of a signature in a token.
const SIGNATURE: usize = 32;

/// What signs tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    secret: [u8; 32],
}

impl Tokens {
    /// Tokens that this secret signs.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    fn signature(&self, action: &str, last: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret)
            .unwrap_or_else(|_| unreachable!("keys have any length"));
        let parts = format!("{}:{action}{last}", action.len());
        let mut text = hex(&mac.chain_update(parts).finalize().into_bytes());
        text.truncate(SIGNATURE);
        text
    }

    fn token(&self, action: &str, last: &str) -> String {
        format!("{}{}", self.signature(action, last), hex(last.as_bytes()))
    }

    fn last(&self, action: &str, token: &str) -> Option<String> {
        let digits = token.get(SIGNATURE..)?.as_bytes();
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let last = String::from_utf8(bytes?).ok()?;
        (self.token(action, &last) == token).then_some(last)
    }

    /// The things of one page, and the token for the next one.
    ///
    /// # Errors
    /// When the size is none of `least` to `most`, or the token is not one of ours.
    pub fn page<T>(
        &self,
        form: &Form,
        mut things: Vec<T>,
        (least, most): (usize, usize),
        key: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<Node>), Refusal> {
        let action = form.get("Action").unwrap_or_default();
        things.sort_by_cached_key(&key);
        if let Some(token) = form.get("NextToken").filter(|token| !token.is_empty()) {
            let shown = self.last(action, token).ok_or_else(|| {
                let message =
                    "The token is not one of this endpoint, or from before it was restarted";
                Refusal::new("InvalidNextToken", message)
            })?;
            things.retain(|thing| key(thing) > shown);
        }
        let Some(size) = form.get("MaxResults") else {
            return Ok((things, None));
        };
        let size = size
            .parse()
            .ok()
            .filter(|size| (least..=most).contains(size));
        let size = size.ok_or_else(|| {
            Refusal::bad(format!(
                "Invalid value for maxResults. Expecting a value between {least} and {most}."
            ))
        })?;
        if things.len() <= size {
            return Ok((things, None));
        }
        things.truncate(size);
        let next = things
            .last()
            .map(|last| Node::text(self.token(action, &key(last))));
        Ok((things, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(query: &str) -> Result<(Vec<u32>, Option<String>), Refusal> {
        let tokens = Tokens::new([7; 32]);
        let form = Form::parse(&format!("Action=D&{query}"), b"")?;
        let page = tokens.page(&form, vec![5, 3, 1, 2, 4], (2, 9), ToString::to_string);
        page.map(|(page, next)| {
            let next = next.map(|node| match node {
                Node::Text(text) => text,
                other => panic!("{other:?}"),
            });
            (page, next)
        })
    }

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let (first, next) = numbers("MaxResults=2").expect("a page");
        assert_eq!(first, [1, 2]);
        let next = next.expect("there are more");
        let (second, next) = numbers(&format!("MaxResults=2&NextToken={next}")).expect("a page");
        assert_eq!(second, [3, 4]);
        let next = next.expect("there are more");
        let last = numbers(&format!("MaxResults=2&NextToken={next}")).expect("a page");
        assert_eq!(last, (vec![5], None));
    }

    #[test]
    fn a_token_that_was_made_up_is_refused() {
        let (_, next) = numbers("MaxResults=2").expect("a page");
        let next = next.expect("there are more");
        let other = format!("{}33", &next[..next.len() - 2]);
        for token in ["forged", "", &next[..20], &other, &format!("{next}3"), "é"] {
            let page = numbers(&format!("MaxResults=2&NextToken={token}"));
            assert_eq!(page.is_ok(), token.is_empty(), "{token}");
        }
        for size in ["1", "10", "-1", "two", ""] {
            assert!(numbers(&format!("MaxResults={size}")).is_err(), "{size}");
        }
    }
}
