//! Seals a document and commits it: one request, before which nothing is visible.

use serde::Serialize;
use serde_json::Value;

use crate::{
    document::difference::changes,
    exchange::api::{Credential, Publication},
    publish::{
        Publisher,
        body::unfolded,
        error::PublishError,
        order::Existing,
        plan::DocumentPlan,
        report::{Published, TrustGrade},
    },
    sign::{Envelope, SigningKey},
    trust::{Header, Refusal, State, Statement, Trust},
    types::{DocumentBody, DocumentKey, OrgId, Subject},
};

/// What stands under a name already, by its own header.
struct Standing {
    header: Header,
    body: Value,
    envelope: Envelope,
    /// Whether the trust opens it today. It does not where the keys that signed it count no more.
    is_trusted: bool,
}

/// A document about to be signed.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    subject: Subject,
    body: Value,
    state: State,
}

impl Draft {
    /// A document of `org` that says `body` about `subject`.
    pub(super) fn new(
        org: &OrgId,
        subject: Subject,
        body: &(impl Serialize + DocumentBody),
    ) -> Result<Self, PublishError> {
        if let Some(contradiction) = body.contradiction(org, &subject) {
            let (org, subject) = (org.clone(), Box::new(subject));
            return Err(PublishError::Contradiction { org, subject, contradiction });
        }
        Ok(Self::active(
            subject,
            serde_json::to_value(body).map_err(|it| PublishError::Encode(it.into()))?,
        ))
    }

    /// What was opened before, to be said otherwise.
    pub(super) fn active(subject: Subject, body: Value) -> Self {
        Self { subject, body, state: State::Active }
    }

    /// The name under which it is tracked.
    pub(super) fn key(&self) -> DocumentKey {
        self.subject.key()
    }
}

impl Publisher {
    /// What would become of a draft.
    pub(super) async fn plan_draft(&self, draft: &Draft) -> Result<DocumentPlan, PublishError> {
        Ok(match self.standing(&draft.key()).await? {
            None => DocumentPlan::New,
            Some(standing) if self.is_said(&standing, draft) => {
                if standing.is_trusted {
                    DocumentPlan::Unchanged
                } else {
                    DocumentPlan::SignedAnew
                }
            }
            Some(standing) if standing.header.state == State::Withdrawn => DocumentPlan::New,
            Some(_) => DocumentPlan::Different,
        })
    }

    /// The refusal to publish a draft over the document of its name.
    pub(super) async fn difference_of_draft(
        &self,
        draft: &Draft,
    ) -> Result<PublishError, PublishError> {
        let key = draft.key();
        let live = self.standing(&key).await?.map(|it| it.body).unwrap_or_default();
        Ok(different(key, &live, &draft.body))
    }

    /// Seals a draft and commits it, with the credentials that go with it.
    pub(super) async fn commit(
        &self,
        draft: Draft,
        credentials: Vec<Credential>,
        existing: Existing,
    ) -> Result<Published, PublishError> {
        let key = draft.key();
        let envelope = self.envelope(draft, existing).await?;
        self.send(key, envelope, credentials).await
    }

    /// A draft, signed as what comes after what stands under its name.
    pub(super) async fn envelope(
        &self,
        draft: Draft,
        existing: Existing,
    ) -> Result<Envelope, PublishError> {
        match self.standing(&draft.key()).await? {
            Some(standing) if self.is_said(&standing, &draft) => {
                if standing.is_trusted {
                    // The very bytes that stand there: the exchange answers "unchanged", and takes
                    // the credentials.
                    Ok(standing.envelope)
                } else {
                    self.seal(draft, Some(&standing.header)).await
                }
            }
            Some(standing)
                if standing.header.state == State::Active && existing == Existing::Refuse =>
            {
                Err(different(draft.key(), &standing.body, &draft.body))
            }
            standing => self.seal(draft, standing.as_ref().map(|it| &it.header)).await,
        }
    }

    /// Commits what was sealed.
    pub(super) async fn send(
        &self,
        key: DocumentKey,
        envelope: Envelope,
        credentials: Vec<Credential>,
    ) -> Result<Published, PublishError> {
        let publication = Publication { envelope, credentials };
        let published =
            self.exchange.publish(&publication).await.map_err(PublishError::Exchange)?;
        Ok(Published {
            credentials_replaced: published.credentials_replaced,
            ..Published::new(key, published.seq, published.unchanged, TrustGrade::Full)
        })
    }

    /// The organization's trust. Mostly a publisher pins nothing: it learns from the rules what to
    /// write into a header, and nodes judge the result by their own pin.
    pub(super) async fn trust(&self) -> Result<Trust, PublishError> {
        let trust = self.exchange.walk_trust(self.root).await?;
        trust.ok_or_else(|| PublishError::NoTrust(self.org.clone()))
    }

    /// Signs that what stands under `key` is withdrawn, and says nothing else; `false` where that was
    /// done before, `None` where nothing signed stands there.
    pub(super) async fn commit_withdrawal(
        &self,
        key: &DocumentKey,
    ) -> Result<Option<bool>, PublishError> {
        let Some(Standing { header, is_trusted, .. }) = self.standing(key).await? else {
            return Ok(None);
        };
        if header.state == State::Withdrawn && is_trusted {
            return Ok(Some(false));
        }
        let subject = header.subject.clone();
        let draft = Draft { subject, body: Value::Null, state: State::Withdrawn };
        let envelope = self.seal(draft, Some(&header)).await?;
        self.send(key.clone(), envelope, Vec::new()).await.map(|_| Some(true))
    }

    /// Whether what stands there says the same as a draft.
    fn is_said(&self, standing: &Standing, draft: &Draft) -> bool {
        standing.header.state == draft.state
            && (standing.body == draft.body
                || standing.body == self.with_standing_signatures(&draft.body, &standing.body))
    }

    /// What stands under `key`: by its header it is `key` and nothing else, whatever the exchange
    /// shows. What the keys of today's rule have not signed is told apart: it can be said again or
    /// withdrawn, but is never taken over.
    async fn standing(&self, key: &DocumentKey) -> Result<Option<Standing>, PublishError> {
        let envelope = self.exchange.newest_document(key).await.map_err(PublishError::Exchange)?;
        let Some(envelope) = envelope else { return Ok(None) };
        let (header, body, is_trusted) = match self.trust().await?.open::<Value>(&envelope, key) {
            Ok(verified) => (verified.header().clone(), verified.into_body(), true),
            Err(
                Refusal::Stranger { .. }
                | Refusal::Retired { .. }
                | Refusal::NoAuthority { .. }
                | Refusal::EpochEnded { .. },
            ) => {
                let statement: Statement<Value> =
                    serde_json::from_slice(envelope.payload()).map_err(|source| {
                        PublishError::Published { key: key.clone(), source: source.into() }
                    })?;
                (statement.header, statement.body, false)
            }
            Err(refusal) => return Err(PublishError::Trust(refusal)),
        };
        if header.key() != *key || header.org != self.org {
            return Err(PublishError::Trust(Refusal::Relabel {
                expected: format!("{key} of {}", self.org),
                received: format!("{} of {}", header.key(), header.org),
            }));
        }
        Ok(Some(Standing { header, body, envelope, is_trusted }))
    }

    /// Signs a draft as the state of its document that comes after `last`.
    pub(super) async fn seal(
        &self,
        draft: Draft,
        last: Option<&Header>,
    ) -> Result<Envelope, PublishError> {
        let trust = self.trust().await?;
        let issued = self.clock.now();
        self.exchange.check_clock(issued)?;
        let key = draft.key();
        let rule = trust.document().authority(&key);
        let rule = rule.ok_or_else(|| PublishError::NoRule(key.clone()))?;
        let keys: Vec<&SigningKey> =
            self.keys.iter().filter(|key| rule.keyids.contains(&key.key_id())).collect();
        if keys.is_empty() {
            return Err(PublishError::NoKey(key));
        }
        let seq = last.map_or(Some(1), |it| it.next_seq(rule.epoch));
        let seq = seq.ok_or(PublishError::SeqUsedUp(key))?;
        let header = Header {
            org: self.org.clone(),
            subject: draft.subject,
            epoch: rule.epoch,
            seq,
            issued,
            state: draft.state,
        };
        Statement { header, body: draft.body }.seal(&keys).map_err(PublishError::Seal)
    }
}

/// The refusal to replace `live` by `new`, with what differs. Horizon's signatures differ each time they are made.
pub(super) fn different(key: DocumentKey, live: &Value, new: &Value) -> PublishError {
    let mut changes_of_content = changes(&unfolded(live), &unfolded(new));
    if changes_of_content.is_empty() {
        changes_of_content = changes(live, new);
    }
    PublishError::Different { key, changes: changes_of_content }
}
