//! An exchange that shows one thing to some and another to others. No node can notice that by itself: each has
//! seen one truth, well signed. What they report brings it to light.

use super::scene::Scene;
use crate::support::hub::Hub;

#[test]
fn two_truths_come_to_light_by_what_nodes_report() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    Scene::set(&hub);
    let (honest, deceived) = (Scene::on(&hub, "honest"), Scene::on(&hub, "deceived"));
    deceived.stamps(|stamp| stamp.seq += 1);
    deceived.settle().good();
    honest.stamps(|stamp| {
        stamp.seq += 1;
        stamp.expires -= jiff::SignedDuration::from_secs(1);
    });
    honest.settle().good();

    for scene in [&honest, &deceived] {
        assert_eq!(scene.listed()["refuses"], serde_json::json!(["split-view"]));
    }
    let list = hub.publisher.run(&["node", "list"]).good().stdout;
    assert_eq!(list.matches("split-view").count(), 2, "{list}");
}
