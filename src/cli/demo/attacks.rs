//! The five attacks. Each is made while version 3 waits to be taken, must be refused by its name, must
//! not touch what runs, and is undone so that the next one stands alone.

use std::fs;

use crate::{
    cli::demo::{
        stage::{Stage, pattern_key, service_key},
        thief::TheftError,
    },
    sign::SigningKey,
    trust::Statement,
};

type Told = Result<((), String), TheftError>;

/// One bit of the stored envelope flipped.
pub(super) async fn altered(stage: &mut Stage) -> Told {
    let key = service_key("3.0.0")?;
    let mut thief = stage.thief().await?;
    thief.flip_a_bit(&key).await?;
    let told = stage.must_refuse("altered").await;
    thief.flip_a_bit(&key).await?;
    told.map(|why| ((), format!("a flipped bit of the stored envelope: refused, {why}")))
}

/// A service signed by a key that the organization's trust does not name.
pub(super) async fn stranger(stage: &mut Stage) -> Told {
    let key = service_key("3.0.0")?;
    let honest = stage.newest(&key).await?;
    let mut statement: Statement<serde_json::Value> = serde_json::from_slice(honest.payload())?;
    statement.header.seq += 1;
    let forged = statement.seal(&[&SigningKey::generate()])?;
    let (mut thief, now) = (stage.thief().await?, stage.now());
    thief.list_instead(&key, &forged, now).await?;
    let told = stage.must_refuse("stranger").await;
    thief.put_back().await?;
    told.map(|why| {
        (
            (),
            format!(
                "a service signed by a stranger, listed by the exchange's own key: refused, {why}"
            ),
        )
    })
}

/// The pattern of version 1, honestly signed in its time.
pub(super) async fn rollback(stage: &mut Stage) -> Told {
    let key = pattern_key()?;
    let (mut thief, now) = (stage.thief().await?, stage.now());
    let earlier = thief.earlier(&key).await?;
    thief.list_instead(&key, &earlier, now).await?;
    let told = stage.must_refuse("rollback").await;
    thief.put_back().await?;
    told.map(|why| ((), format!("version 1 replayed: refused, {why}")))
}

/// A stamp that has expired, as of an exchange that hides what is new.
pub(super) async fn freeze(stage: &mut Stage) -> Told {
    let (mut thief, now) = (stage.thief().await?, stage.now());
    thief.let_the_stamp_expire(now).await?;
    let told = stage.must_refuse("freeze").await;
    thief.put_back().await?;
    told.map(|why| ((), format!("an expired stamp: refused, {why}")))
}

/// A layer in the registry replaced by another of the same length.
pub(super) async fn swapped_layer(stage: &mut Stage) -> Told {
    let layer = stage.a_new_layer("3.0.0").await?;
    let file = stage.registry_blob(&layer)?;
    let honest = fs::read(&file)?;
    let mut swapped = honest.clone();
    swapped.reverse();
    write(&file, &swapped)?;
    let told = stage.must_refuse("swapped-layer").await;
    write(&file, &honest)?;
    told.map(|why| ((), format!("a layer swapped in the registry: refused, {why}")))
}

/// Writes over a file in place, as somebody with access to the disk would.
fn write(file: &std::path::Path, bytes: &[u8]) -> Result<(), TheftError> {
    use std::io::Write as _;
    Ok(fs::OpenOptions::new().write(true).truncate(true).open(file)?.write_all(bytes)?)
}
