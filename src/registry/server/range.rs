//! The `Range` of a download (RFC 9110, section 14) and the `Content-Range` of a chunk
//! (distribution-spec, "Pushing a blob in chunks").

use axum::http::{
    HeaderMap,
    header::{CONTENT_RANGE, RANGE},
};

/// Which bytes of a blob are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them. Whoever asks for several ranges at once gets this, which HTTP allows.
    All,
    /// From the first to the last, both included.
    Part { first: u64, last: u64 },
    /// None that exist.
    Nothing,
}

/// Reads what a download asks for of a blob of `length` bytes.
pub(super) fn wanted(headers: &HeaderMap, length: u64) -> Wanted {
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) =
        text.and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.split_once('-'))
    else {
        return Wanted::All;
    };
    let end = length.saturating_sub(1);
    let (first, last) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(end)),
        (Ok(first), Err(_)) if last.trim().is_empty() => (first, end),
        (Err(_), Ok(0)) if first.trim().is_empty() => return Wanted::Nothing,
        (Err(_), Ok(count)) if first.trim().is_empty() => (length.saturating_sub(count), end),
        _ => return Wanted::All,
    };
    if first < length { Wanted::Part { first, last } } else { Wanted::Nothing }
}

/// Where a chunk belongs: its first byte, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) first: u64,
    pub(super) length: u64,
}

/// Reads where a chunk belongs; `None` without the header, an error if it cannot be read.
pub(super) fn chunk(headers: &HeaderMap) -> Result<Option<Chunk>, ()> {
    let Some(value) = headers.get(CONTENT_RANGE) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| ())?.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split_once('/').map_or(text, |(range, _)| range);
    let (first, last) = text.split_once('-').ok_or(())?;
    let first: u64 = first.parse().map_err(|_| ())?;
    let last: u64 = last.parse().map_err(|_| ())?;
    let length = last.checked_sub(first).and_then(|it| it.checked_add(1)).ok_or(())?;
    Ok(Some(Chunk { first, length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_gets_the_part_it_asks_for() {
        for (text, expected) in [
            ("bytes=0-4", Wanted::Part { first: 0, last: 4 }),
            ("bytes=5-", Wanted::Part { first: 5, last: 9 }),
            ("bytes=-3", Wanted::Part { first: 7, last: 9 }),
            ("bytes=-30", Wanted::Part { first: 0, last: 9 }),
            ("bytes=9-100", Wanted::Part { first: 9, last: 9 }),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=0-1,4-5", Wanted::All),
            ("bytes=5-4", Wanted::All),
            ("lines=1-2", Wanted::All),
        ] {
            let headers = HeaderMap::from_iter([(RANGE, text.parse().unwrap())]);
            assert_eq!(wanted(&headers, 10), expected, "{text}");
        }
        let headers = HeaderMap::from_iter([(RANGE, "bytes=0-".parse().unwrap())]);
        assert_eq!(wanted(&headers, 0), Wanted::Nothing);
    }

    #[test]
    fn a_chunk_says_where_it_belongs() {
        for (text, expected) in [
            ("0-4", Ok(Some(Chunk { first: 0, length: 5 }))),
            ("bytes 5-9/*", Ok(Some(Chunk { first: 5, length: 5 }))),
            ("9-5", Err(())),
            ("x", Err(())),
            ("0-18446744073709551615", Err(())),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_RANGE, text.parse().unwrap())]);
            assert_eq!(chunk(&headers), expected, "{text}");
        }
        assert_eq!(chunk(&HeaderMap::new()), Ok(None));
    }
}
