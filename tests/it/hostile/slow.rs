//! A byte now and then: by the library, which can be told to be less patient than the program is.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use edgepost::{
    image::{BlobReader, Descriptor},
    registry::client::{
        ClientConfig, DownloadError, Login, Logins, RegistryClient, RegistryError, RetryPolicy,
    },
    types::{Repository, Secret},
};
use tokio::io::AsyncReadExt as _;

use super::{MANIFEST, PASSWORD, Served, path_of};
use crate::support::{
    liar::{Answer, Liar},
    publisher::wait,
};

/// Between two bytes: far below what counts as moving, and never silent.
const PAUSE: Duration = Duration::from_millis(50);
/// Whatever a client does that is told to be this impatient, it is over by then.
const SOON: Duration = Duration::from_mins(1);

/// Somebody who is patient for half a second, and tries twice.
fn client(liar: &Liar) -> (RegistryClient, Repository) {
    let repository: Repository = format!("{}/team/app", liar.address()).parse().unwrap();
    let login = Login::new("reader", Secret::new(PASSWORD));
    let retry = RetryPolicy {
        tries: 2,
        first_delay: Duration::from_millis(10),
        longest_delay: Duration::from_millis(20),
        fruitless: 3,
        ..RetryPolicy::default()
    };
    let client = RegistryClient::new(ClientConfig {
        logins: Logins::none().with(repository.registry().clone(), login),
        stall: Duration::from_millis(500),
        retry,
        ..ClientConfig::default()
    });
    (client, repository)
}

fn trickle(status: &str, headers: &str) -> Answer {
    Answer::of(status, headers, vec![b' '; 60_000]).trickled(PAUSE)
}

/// Whether it was given up as too slow, and soon.
#[track_caller]
fn given_up<T: std::fmt::Debug>(start: Instant, outcome: Result<T, RegistryError>) {
    let error = outcome.expect_err("no answer ever ends");
    assert!(
        matches!(error, RegistryError::Slow { .. } | RegistryError::Timeout { .. }),
        "{error:?}"
    );
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_manifest_a_token_and_a_list_that_trickle_are_given_up() {
    let start = Instant::now();
    let liar = Liar::new(|_| trickle("200 OK", MANIFEST));
    let (client_, repository) = client(&liar);
    given_up(start, wait(client_.manifest(&repository, &"1".parse().unwrap())));
    given_up(start, wait(client_.tags(&repository)));

    let liar = Liar::new(|request| {
        let host = request.lines().find_map(|it| it.strip_prefix("host: ")).unwrap_or_default();
        if path_of(request).starts_with("/token") {
            trickle("200 OK", "")
        } else {
            let realm = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            Answer::of("401 Unauthorized", &realm, "{}")
        }
    });
    let (client, repository) = client(&liar);
    given_up(start, wait(client.manifest(&repository, &"1".parse().unwrap())));
}

#[test]
fn a_head_that_trickles_and_one_that_never_comes_to_the_point_are_given_up() {
    for answer in [
        Answer::Trickle(String::new(), b"HTTP/1.1 200 OK\r\nx-a: ".to_vec(), PAUSE),
        Answer::Trickle(String::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), PAUSE / 10),
        Answer::Endless(String::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
    ] {
        let start = Instant::now();
        let liar = Liar::new(move |_| answer.clone());
        let (client, repository) = client(&liar);
        let outcome = wait(client.manifest(&repository, &"1".parse().unwrap()));
        assert!(outcome.is_err(), "{outcome:?}");
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
}

#[test]
fn a_refusal_that_trickles_is_one_without_words() {
    let start = Instant::now();
    let liar = Liar::new(|_| trickle("403 Forbidden", ""));
    let (client, repository) = client(&liar);
    let error = wait(client.manifest(&repository, &"1".parse().unwrap())).unwrap_err();
    assert!(
        matches!(&error, RegistryError::Denied { message, .. } if message.is_empty()),
        "{error:?}"
    );
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

fn download(liar: &Liar, layer: &Descriptor, folder: &Path) -> DownloadError {
    let (client, repository) = client(liar);
    wait(client.download(&repository, layer, &folder.join("partial"), &())).unwrap_err()
}

#[test]
fn a_blob_that_trickles_is_given_up_as_a_file_and_as_a_stream() {
    let start = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new(&vec![b' '; 60_000]);
    let layer = served.layer();
    let liar = Liar::new(|_| trickle("200 OK", ""));
    let error = download(&liar, &layer, folder.path());
    assert!(matches!(error, DownloadError::BrokenOff { .. }), "{error:?}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());

    let (client, repository) = client(&liar);
    let followed = async {
        let mut stream = client.follow_blob(&repository, &layer).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await
    };
    let error = wait(followed).unwrap_err().downcast::<RegistryError>().unwrap();
    assert!(matches!(error, RegistryError::Slow { .. }), "{error:?}");
    assert!(start.elapsed() < SOON * 2, "{:?}", start.elapsed());
}

#[test]
fn a_byte_for_each_request_is_not_enough_either() {
    let start = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..200_000u32).map(|it| (it % 251) as u8).collect();
    let served = Served::new(&content);
    let layer = served.layer();

    // One that breaks off after one byte more each time.
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let all = content.clone();
    let liar = Liar::new(move |_| {
        let more = sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let Answer::Raw(whole) = Answer::of("200 OK", "", &all) else { panic!("it ends") };
        let head = whole.len() - all.len();
        Answer::Raw(whole[..head + more].to_vec())
    });
    let error = download(&liar, &layer, folder.path());
    assert!(matches!(error, DownloadError::BrokenOff { .. }), "{error:?}");
    assert!(liar.heard().len() < 10, "{}", liar.heard().len());

    // One that answers each request for a range with a byte.
    let liar = Liar::new(move |request| {
        let from = request.lines().find_map(|it| it.strip_prefix("range: bytes="));
        let from: usize = from.map_or(0, |it| it.trim_end_matches('-').parse().unwrap());
        if from == 0 {
            let Answer::Raw(whole) = Answer::of("200 OK", "", &content) else { panic!("it ends") };
            return Answer::Raw(whole[..whole.len() - content.len() + 100_000].to_vec());
        }
        let range = format!("content-range: bytes {from}-{from}/{}\r\n", content.len());
        Answer::of("206 Partial Content", &range, &content[from..=from])
    });
    let folder = tempfile::tempdir().unwrap();
    let error = download(&liar, &layer, folder.path());
    let DownloadError::Origin { source, .. } = &error else { panic!("{error:?}") };
    assert!(
        source.to_string().contains("less of a blob at a time than would ever end"),
        "{source}"
    );
    assert!(liar.heard().len() < 10, "{}", liar.heard().len());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_status_that_lies_after_a_break_ends() {
    let start = Instant::now();
    let content = vec![7; 3_000_000];
    let layer = Descriptor::of("application/octet-stream", &content);
    for said in ["0-99999999999", "0-0", "0-1", "0-2000000", "0-2999999"] {
        let liar = Liar::new(move |request| match request.split(' ').next().unwrap_or_default() {
            "HEAD" => Answer::of("404 Not Found", "", ""),
            "POST" => Answer::of("202 Accepted", "location: /upload\r\n", ""),
            "GET" => {
                let range = format!("location: /upload\r\nrange: {said}\r\n");
                Answer::of("204 No Content", &range, "")
            }
            _ => Answer::Raw(Vec::new()),
        });
        let (client, repository) = client(&liar);
        let open = || async { Ok(BlobReader::bytes(content.clone())) };
        let outcome = wait(client.push_blob(&repository, &layer, open, None));
        assert!(matches!(outcome, Err(RegistryError::Unreachable { .. })), "{outcome:?}");
        assert!(liar.heard().len() < 40, "{}", liar.heard().len());
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn an_upload_whose_answer_trickles_or_that_keeps_next_to_nothing_is_given_up() {
    let start = Instant::now();
    let content = vec![7; 3_000_000];
    let layer = Descriptor::of("application/octet-stream", &content);
    let push = |answer: fn(&str) -> Answer| {
        let liar = Liar::new(move |request| match request.split(' ').next() {
            Some("HEAD") => Answer::of("404 Not Found", "", ""),
            Some("POST") => Answer::of("202 Accepted", "location: /upload\r\n", ""),
            _ => answer(request),
        });
        let (client, repository) = client(&liar);
        let open = || async { Ok(BlobReader::bytes(content.clone())) };
        let outcome = wait(client.push_blob(&repository, &layer, open, None));
        (outcome.map(|_| ()), liar.heard().len())
    };

    // A refusal whose words never end is one, and an acceptance needs none.
    let (outcome, _) = push(|_| trickle("403 Forbidden", ""));
    assert!(matches!(outcome, Err(RegistryError::Denied { .. })), "{outcome:?}");
    let (outcome, _) = push(|_| trickle("201 Created", ""));
    outcome.unwrap();

    let (outcome, requests) = push(|request| {
        let from = request.lines().find_map(|it| it.strip_prefix("content-range: "));
        let from: u64 = from.and_then(|it| it.split('-').next()?.parse().ok()).unwrap_or(0);
        let kept = format!("location: /upload\r\nrange: 0-{}\r\n", from + 1);
        Answer::of("202 Accepted", &kept, "")
    });
    assert!(outcome.unwrap_err().to_string().contains("next to nothing"));
    assert!(requests < 10, "{requests}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}
