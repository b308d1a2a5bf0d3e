//! Every line of every vector file: what Horizon's own programs made of an input, we make of it.

use edgepost::{
    Constraint, ServiceDefinition,
    document::{
        InputValue, Properties, Source,
        deployment::{canonical, image_text::ImageText},
        user_input::environment_text,
    },
    sign::compat::horizon::HorizonPublicKey,
    types::{VersionOrInfinity, VersionRange, service_id::form_exchange_id},
};
use serde_json::{Value, json};

use super::{files_below, folder, lines};

#[test]
fn horizon_data_vectors_are_what_we_make_of_their_inputs() {
    let Some(folder) = folder() else { return };
    let mut wrong = Vec::new();
    let (mut files, mut all) = (0, 0);
    for file in files_below(&folder.join("vectors"), "jsonl") {
        let kind = file.file_stem().and_then(|it| it.to_str()).expect("a name");
        let agrees = judge_of(kind).unwrap_or_else(|| panic!("{kind}: an unknown kind of vector"));
        let vectors = lines(&file);
        for (line, vector) in vectors.iter().enumerate() {
            if !agrees(vector) {
                wrong.push(format!("{kind}:{}: {vector}", line + 1));
            }
        }
        eprintln!("{kind}: {} lines", vectors.len());
        files += 1;
        all += vectors.len();
    }
    eprintln!("{files} vector files, {all} lines, {} of them wrong", wrong.len());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(all > 0, "{} has no vectors", folder.display());
}

/// What holds a line of a vector file against what we make of it.
fn judge_of(kind: &str) -> Option<fn(&Value) -> bool> {
    Some(match kind {
        "constraints" => constraints,
        "version_range" => version_range,
        "version_compare" => version_compare,
        "version_intersect" => version_intersect,
        "image_path" => image_path,
        "service_id" => service_id,
        "canonical_deployment" => canonical_deployment,
        "userinput_env" => userinput_env,
        "rsa_pss" | "rsapss_tool_real" => signature,
        _ => return None,
    })
}

/// A text that every vector of the kind has.
#[track_caller]
fn text<'v>(vector: &'v Value, key: &str) -> &'v str {
    vector[key].as_str().unwrap_or_else(|| panic!("`{key}` is not a text: {vector}"))
}

fn constraints(vector: &Value) -> bool {
    let Ok(properties) = serde_json::from_value::<Properties>(vector["properties"].clone()) else {
        return vector["properties_valid"] == false;
    };
    let properties_valid = properties.iter().all(|it| it.check().is_ok());
    let texts = vector["constraints"].as_array().expect("a list of constraints");
    let texts = texts.iter().map(|it| it.as_str().expect("a constraint is a text"));
    let parsed: Result<Vec<_>, _> = texts.map(Constraint::parse).collect();
    let valid = parsed.is_ok();
    let satisfied = parsed.is_ok_and(|all| all.iter().all(|it| it.holds(&properties)));
    properties_valid == vector["properties_valid"]
        && valid == vector["constraints_valid"]
        && satisfied == vector["satisfied"]
}

fn version_range(vector: &Value) -> bool {
    let Ok(range) = text(vector, "range").parse::<VersionRange>() else {
        return vector["valid"] == false;
    };
    let point = vector["version"].as_str().map(str::parse::<VersionOrInfinity>);
    let inside = point.and_then(Result::ok).map(|it| range.contains_point(&it));
    vector["valid"] == true
        && range.expanded() == vector["expanded"]
        && inside == vector["in"].as_bool()
}

fn version_compare(vector: &Value) -> bool {
    let version = |key| text(vector, key).parse::<VersionOrInfinity>();
    let order = version("a").and_then(|a| Ok(a.cmp(&version("b")?)));
    order.ok().map(|it| it as i64) == vector["cmp"].as_i64()
}

fn version_intersect(vector: &Value) -> bool {
    let range = |key| text(vector, key).parse::<VersionRange>();
    let both = match (range("a"), range("b")) {
        (Ok(a), Ok(b)) => a.intersect(&b).map(|it| it.expanded()),
        _ => None,
    };
    both.as_deref() == vector["result"].as_str()
}

fn image_path(vector: &Value) -> bool {
    let [domain, path, tag, digest] =
        ["domain", "path", "tag", "digest"].map(|key| text(vector, key));
    ImageText::of(text(vector, "image")) == ImageText { domain, path, tag, digest }
}

fn service_id(vector: &Value) -> bool {
    let [url, version, arch] = ["url", "version", "arch"].map(|key| text(vector, key));
    let definition = json!({"url": url, "version": version, "arch": arch, "sharable": "multiple"});
    // Horizon forms an id of anything; what names a service of ours forms it through its types too.
    let by_types = serde_json::from_value::<ServiceDefinition>(definition)
        .map(|it| it.service_id(&"acme".parse().expect("an organization")).exchange_id());
    let expected = text(vector, "id");
    form_exchange_id(url, version, arch) == expected && by_types.map_or(true, |id| id == expected)
}

fn canonical_deployment(vector: &Value) -> bool {
    let read = Source::read_as_it_is("deployment.json", text(vector, "input"));
    let written = read.ok().map(|it| canonical::text(&it.to_value()));
    written.as_deref() == vector["signed_string"].as_str()
}

fn userinput_env(vector: &Value) -> bool {
    let read = Source::read_as_it_is("value.json", text(vector, "json")).expect("a value");
    let text = environment_text(&InputValue::new("V", read.to_value()));
    text.ok().as_deref() == vector["env"].as_str()
}

fn signature(vector: &Value) -> bool {
    let Ok(key) = HorizonPublicKey::from_pem(text(vector, "public_key_pem")) else {
        return vector["valid"] == false;
    };
    key.verifies(text(vector, "message"), text(vector, "signature_b64")) == vector["valid"]
}
