use futures_util::future::join_all;

use super::*;
use crate::types::GeneratedToken;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

struct Lab {
    logins: Authenticator,
    hash: String,
}

impl Lab {
    fn new() -> Self {
        let hash = Hasher::default().hash(&Secret::new("right")).unwrap().to_string();
        Self { logins: Authenticator::default(), hash }
    }

    async fn log_in(
        &self,
        from: IpAddr,
        name: &str,
        secret: &str,
        stored: &[&str],
    ) -> Result<usize, LoginError> {
        let attempt = self.logins.begin(from, name, &Secret::new(secret))?;
        self.logins.verify(attempt, stored).await
    }

    async fn is_right(&self, secret: &str) -> Result<usize, LoginError> {
        self.log_in(HERE, "acme/ann", secret, &[&self.hash]).await
    }
}

#[tokio::test]
async fn first_hash_that_the_secret_fits_decides() {
    let lab = Lab::new();
    let other = Hasher::default().hash(&Secret::new("other")).unwrap().to_string();
    let found = lab.log_in(HERE, "acme/ann", "right", &[&other, &lab.hash, &lab.hash]).await;
    assert_eq!(found.unwrap(), 1);
    assert!(lab.log_in(HERE, "acme/ann", "wrong", &[&other, &lab.hash]).await.is_err());
}

#[tokio::test]
async fn changed_password_is_not_taken_for_the_remembered_one() {
    let lab = Lab::new();
    lab.is_right("right").await.unwrap();
    lab.is_right("right").await.unwrap();
    let changed = Hasher::default().hash(&Secret::new("new")).unwrap().to_string();
    let refused = lab.log_in(HERE, "acme/ann", "right", &[&changed]).await;
    assert!(matches!(refused, Err(LoginError::Refused)));
}

#[tokio::test]
async fn empty_or_unreadable_hash_admits_no_secret() {
    let lab = Lab::new();
    for (secret, stored) in [("", ""), ("right", ""), ("right", "right")] {
        assert!(lab.log_in(HERE, "acme/ann", secret, &[stored]).await.is_err());
    }
    assert!(lab.log_in(HERE, "acme/ann", "right", &[]).await.is_err());
}

#[tokio::test]
async fn guesses_at_one_name_end_and_a_remembered_login_goes_on() {
    let lab = Lab::new();
    lab.is_right("right").await.unwrap();
    let guesses: Vec<_> = (0..40).map(|it| format!("guess {it}")).collect();
    let answers = join_all(guesses.iter().map(|it| lab.is_right(it))).await;
    let looked_at = answers.iter().filter(|it| matches!(it, Err(LoginError::Refused))).count();
    assert!(looked_at <= 26, "{looked_at}");
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(lab.is_right("right").await.unwrap(), 0);
    // A first login from elsewhere is not stopped by guesses from here.
    lab.log_in(ELSEWHERE, "acme/ann", "right", &[&lab.hash]).await.unwrap();
}

#[tokio::test]
async fn unknown_names_compute_no_hash_and_are_answered_like_wrong_secrets() {
    let lab = Lab::new();
    let start = Instant::now();
    let unknown = join_all((0..100).map(|it| {
        let (name, lab) = (format!("z{it}/u"), &lab);
        async move { lab.log_in(HERE, &name, "guess", &[]).await }
    }));
    let unknown = unknown.await;
    assert!(unknown.iter().all(|it| matches!(it, Err(LoginError::Refused))));
    assert!(start.elapsed() >= LEAST_DELAY);
    assert_eq!(lab.logins.0.slowest(), Duration::ZERO, "no hash was computed");
    // Beyond the budget of the address, names that exist and names that do not get the same answer.
    let flood = join_all((0..60).map(|it| {
        let (name, lab) = (format!("z{it}/v"), &lab);
        async move { lab.log_in(HERE, &name, "guess", &[]).await }
    }));
    let probe = |stored: Vec<String>| {
        let lab = &lab;
        async move {
            let (start, stored) = (Instant::now(), stored);
            let stored: Vec<_> = stored.iter().map(String::as_str).collect();
            let refused = lab.log_in(HERE, "acme/bob", "guess", &stored).await;
            assert!(matches!(refused, Err(LoginError::Throttled { .. })), "{refused:?}");
            assert!(start.elapsed() >= LIMITED_DELAY);
        }
    };
    let existing = probe(vec![lab.hash.clone()]);
    futures_util::future::join3(flood, probe(Vec::new()), existing).await;
    // The same address still logs in by a right secret.
    lab.is_right("right").await.unwrap();
}

#[tokio::test]
async fn nine_hundred_logins_at_once_by_one_right_secret_cost_few_hashes() {
    let lab = Lab::new();
    let all = join_all((0..900).map(|_| lab.is_right("right"))).await;
    assert!(all.iter().all(Result::is_ok));
}

#[tokio::test]
async fn generated_tokens_need_no_turn_in_the_queue() {
    let lab = Lab::new();
    let token = GeneratedToken::random().unwrap();
    let stored = PasswordHash::of_token(&token).to_string();
    let token = token.into_secret();
    let _held = [
        lab.logins.0.queue.turn(Lane::First, Subnet::of(HERE)).await.unwrap(),
        lab.logins.0.queue.turn(Lane::First, Subnet::of(HERE)).await.unwrap(),
    ];
    lab.log_in(HERE, "acme/n1", token.expose(), &[&stored]).await.unwrap();
    let refused = lab.log_in(HERE, "acme/n1", "right", &[&stored]).await;
    assert!(matches!(refused, Err(LoginError::Refused)));
    let none = lab.log_in(HERE, "acme/n1", &token.expose()[1..], &[&stored]).await;
    assert!(matches!(none, Err(LoginError::Refused)));
}

#[test]
fn wait_that_a_client_is_asked_for_is_bounded_and_spread() {
    for wait in [Duration::ZERO, Duration::from_secs(3), Duration::from_hours(1)] {
        let asked: Vec<_> = (0..100).map(|_| spread(wait)).collect();
        assert!(asked.iter().all(|it| (SHORTEST_RETRY..=LONGEST_RETRY).contains(it)));
        assert!(asked.iter().any(|it| it != &asked[0]));
        assert!(asked.iter().all(|it| it.subsec_nanos() == 0));
    }
}
