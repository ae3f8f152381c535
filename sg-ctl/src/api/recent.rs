//! Answers that a client may ask for again with its `ClientToken`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::form::Form;
use super::refusal::Refusal;
use super::xml::Node;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_mins(10);
/// Most answers that are kept.
const MOST: usize = 1000;

/// Whose answer it is: key and token.
type Asked = (String, String);

/// Answers given a short time ago.
#[derive(Debug, Default)]
pub(super) struct Recent {
    answers: HashMap<Asked, ([u8; 32], Node)>,
    order: VecDeque<(Instant, Asked)>,
}

impl Recent {
    /// The answer that was given to this key with this token.
    pub(super) fn find(
        &mut self,
        key: &str,
        token: &str,
        form: &Form,
    ) -> Option<Result<Node, Refusal>> {
        self.forget();
        let (digest, answer) = self.answers.get(&(key.to_owned(), token.to_owned()))?;
        Some(if *digest == digest_of(form) {
            Ok(answer.clone())
        } else {
            Err(Refusal::new(
                "IdempotentParameterMismatch",
                "The client token has already been used with other parameters.",
            ))
        })
    }

    /// Keeps an answer.
    pub(super) fn keep(&mut self, key: &str, token: String, form: &Form, answer: &Node) {
        let asked = (key.to_owned(), token);
        self.order.push_back((Instant::now(), asked.clone()));
        self.answers
            .insert(asked, (digest_of(form), answer.clone()));
        self.forget();
    }

    fn forget(&mut self) {
        while let Some((at, asked)) = self.order.front()
            && (self.order.len() > MOST || at.elapsed() > KEPT)
        {
            self.answers.remove(asked);
            self.order.pop_front();
        }
    }
}

fn digest_of(form: &Form) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (key, value) in form.pairs() {
        for text in [key, value] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
    }
    hash.finalize().into()
}
