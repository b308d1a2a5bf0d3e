//! Seals a document and commits it: one request, before which nothing is visible.

use serde::Serialize;
use serde_json::Value;

use crate::{
    exchange::{
        api::{Credential, Publication},
        client::ExchangeClient,
    },
    publish::{
        Publisher,
        error::PublishError,
        order::Existing,
        plan::DocumentPlan,
        report::{Published, TrustGrade},
    },
    sign::{Envelope, SigningKey},
    trust::{Header, State, Statement, Trust},
    types::{DocumentBody, DocumentKey, OrgId, Subject},
};

/// What stands under a name already.
struct Standing {
    header: Header,
    body: Value,
}

/// A document about to be signed.
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
        Ok(Self::active(subject, serde_json::to_value(body).map_err(PublishError::Encode)?))
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
        Ok(match standing(&self.exchange, &draft.key()).await? {
            None => DocumentPlan::New,
            Some((standing, _)) if self.is_said(&standing, draft) => DocumentPlan::Unchanged,
            Some((standing, _)) if standing.header.state == State::Withdrawn => DocumentPlan::New,
            Some(_) => DocumentPlan::Different,
        })
    }

    /// Seals a draft and commits it, with the credentials that go with it.
    pub(super) async fn commit(
        &self,
        draft: Draft,
        credentials: Vec<Credential>,
        existing: Existing,
    ) -> Result<Published, PublishError> {
        let key = draft.key();
        let envelope = match standing(&self.exchange, &key).await? {
            // The very bytes that stand there: the exchange answers "unchanged", and takes the credentials.
            Some((standing, envelope)) if self.is_said(&standing, &draft) => envelope,
            Some((standing, _))
                if standing.header.state == State::Active && existing == Existing::Refuse =>
            {
                return Err(PublishError::Different(key));
            }
            standing => {
                let seq = standing.map_or(1, |(standing, _)| standing.header.seq + 1);
                self.seal(draft, seq).await?
            }
        };
        self.send(key, envelope, credentials).await
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
            key,
            seq: published.seq,
            unchanged: published.unchanged,
            trust: TrustGrade::Full,
            images: Vec::new(),
        })
    }

    /// The organization's trust. Mostly a publisher pins nothing: it learns from the rules what to
    /// write into a header, and nodes judge the result by their own pin.
    pub(super) async fn trust(&self) -> Result<Trust, PublishError> {
        let trust = self.exchange.walk_trust(self.root).await?;
        trust.ok_or_else(|| PublishError::NoTrust(self.org.clone()))
    }

    /// Signs that what stands under `key` is withdrawn; `false` where that was done before, `None`
    /// where nothing signed stands there.
    pub(super) async fn commit_withdrawal(
        &self,
        key: &DocumentKey,
    ) -> Result<Option<bool>, PublishError> {
        let Some((standing, _)) = standing(&self.exchange, key).await? else { return Ok(None) };
        if standing.header.state == State::Withdrawn {
            return Ok(Some(false));
        }
        let Standing { header, body } = standing;
        let draft = Draft { subject: header.subject, body, state: State::Withdrawn };
        self.commit(draft, Vec::new(), Existing::Overwrite).await.map(|_| Some(true))
    }

    /// Whether what stands there says the same as a draft.
    fn is_said(&self, standing: &Standing, draft: &Draft) -> bool {
        standing.header.state == draft.state
            && (standing.body == draft.body
                || standing.body == self.with_standing_signatures(&draft.body, &standing.body))
    }

    /// Signs a draft as the state `seq` of its document.
    pub(super) async fn seal(&self, draft: Draft, seq: u64) -> Result<Envelope, PublishError> {
        let trust = self.trust().await?;
        let key = draft.key();
        let rule = trust.document().authority(&key);
        let rule = rule.ok_or_else(|| PublishError::NoRule(key.clone()))?;
        let keys: Vec<&SigningKey> =
            self.keys.iter().filter(|key| rule.keyids.contains(&key.key_id())).collect();
        if keys.is_empty() {
            return Err(PublishError::NoKey(key));
        }
        let header = Header {
            org: self.org.clone(),
            subject: draft.subject,
            epoch: rule.epoch,
            seq,
            issued: self.clock.now(),
            state: draft.state,
        };
        Statement { header, body: draft.body }.seal(&keys).map_err(PublishError::Seal)
    }
}

/// What stands under `key`, and the envelope it stands in.
async fn standing(
    exchange: &ExchangeClient,
    key: &DocumentKey,
) -> Result<Option<(Standing, Envelope)>, PublishError> {
    let Some(envelope) = exchange.newest_document(key).await.map_err(PublishError::Exchange)?
    else {
        return Ok(None);
    };
    let statement: Statement<Value> = serde_json::from_slice(envelope.payload())
        .map_err(|source| PublishError::Published { key: key.clone(), source })?;
    Ok(Some((Standing { header: statement.header, body: statement.body }, envelope)))
}
