//! `cargo xtask check-links`: no crate links what its row forbids, and no files use each other in a circle.

mod files;
mod graph;
mod rules;

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::repo::Repo;
use graph::Graph;
use rules::{Family, NOT_IN_DEFAULT_MEMBERS, ROWS, Row};

/// Checks the workspace as it is.
pub fn run(repo: &Repo) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--format-version=1", "--locked"]).current_dir(repo.root());
    let graph = Graph::parse(&process::capture(&mut metadata)?)?;
    let mut faults = violations(&graph, ROWS, NOT_IN_DEFAULT_MEMBERS);
    for (name, folder) in graph.folders() {
        let circles = files::circles(&folder.join("src"))?;
        faults.extend(
            circles.iter().map(|circle| format!("files of {name} use each other in a circle: {}", circle.join(", "))),
        );
    }
    if !faults.is_empty() {
        bail!("{} faults:\n  {}", faults.len(), faults.join("\n  "));
    }
    println!("check-links: {} crates keep their borders, and no files use each other in a circle", ROWS.len());
    Ok(())
}

/// Everything in the graph that the rows forbid, as sentences.
fn violations(graph: &Graph, rows: &[Row], not_in_default_members: &[Family]) -> Vec<String> {
    let mut found = Vec::new();
    let members = graph.members();
    for member in &members {
        if !rows.iter().any(|(name, _)| name == member) {
            found.push(format!("{member} has no row in deploy/xtask/src/links/rules.rs"));
        }
    }
    for (name, forbidden) in rows {
        if !members.contains(name) {
            found.push(format!("{name} has a row but is no member of the workspace"));
        }
        found.extend(forbidden.iter().filter_map(|family| crossing(graph, name, *family, "must not link")));
    }
    for member in graph.default_members() {
        let crossings = not_in_default_members
            .iter()
            .filter_map(|family| crossing(graph, member, *family, "is a default member and must not link"));
        found.extend(crossings);
    }
    found
}

fn crossing(graph: &Graph, member: &str, family: Family, sentence: &str) -> Option<String> {
    let chain = graph.chain(member, |package| family.contains(package))?;
    let last = chain.last()?;
    Some(format!("{member} {sentence} {last}: {}", chain.join(" -> ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SMALL: &[Row] = &[("net", &[Family::Torch]), ("search", &[])];

    /// A package with its dependencies and their kinds, as in cargo's metadata.
    type Package = (&'static str, &'static [(&'static str, Option<&'static str>)]);

    /// A graph in cargo's own words. `net` and `search` are members, `net` is the default one.
    fn graph(packages: &[Package]) -> Graph {
        let node = |(name, deps): &Package| {
            let deps: Vec<Value> = deps
                .iter()
                .map(|(dep, kind)| json!({"name": dep, "pkg": dep, "dep_kinds": [{"kind": kind, "target": null}]}))
                .collect();
            json!({"id": name, "deps": deps, "features": []})
        };
        let names: Vec<Value> = packages.iter().map(|(name, _)| json!({"id": name, "name": name})).collect();
        let metadata = json!({
            "packages": names,
            "workspace_members": ["net", "search"],
            "workspace_default_members": ["net"],
            "resolve": {"nodes": packages.iter().map(node).collect::<Vec<_>>()},
        });
        Graph::parse(&metadata.to_string()).unwrap()
    }

    #[test]
    fn a_sound_graph_passes() {
        let sound = graph(&[
            ("net", &[("serde", None)]),
            ("search", &[("net", None), ("tch", None)]),
            ("serde", &[]),
            ("tch", &[]),
        ]);
        assert_eq!(violations(&sound, SMALL, &[Family::Torch]), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_package_is_found_through_others_and_the_chain_is_shown() {
        let doctored = graph(&[
            ("net", &[("helper", None)]),
            ("search", &[]),
            ("helper", &[("tch", None)]),
            ("tch", &[("torch-sys", None)]),
            ("torch-sys", &[]),
        ]);
        let found = violations(&doctored, SMALL, &[Family::Torch]);
        assert_eq!(
            found,
            [
                "net must not link tch: net -> helper -> tch",
                "net is a default member and must not link tch: net -> helper -> tch"
            ]
        );
    }

    #[test]
    fn what_only_tests_and_build_scripts_use_is_not_linked() {
        let development = graph(&[
            ("net", &[("tch", Some("dev")), ("helper", Some("build"))]),
            ("search", &[]),
            ("tch", &[]),
            ("helper", &[("tch", None)]),
        ]);
        assert_eq!(violations(&development, SMALL, &[Family::Torch]), Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
        let sound = graph(&[("net", &[]), ("search", &[])]);
        let rows: &[Row] = &[("net", &[]), ("gone", &[])];
        let found = violations(&sound, rows, &[]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("search has no row") && found[1].starts_with("gone has a row"), "{found:?}");
    }

    #[test]
    fn every_row_of_the_workspace_catches_each_of_its_families() {
        let sample = |family: &Family| match family {
            Family::Torch => "torch-sys",
            Family::OnnxRuntime => "ort-sys",
            Family::GStreamer => "gstreamer-video",
            Family::Protobuf => "prost",
            Family::CommandLine => "clap",
            Family::Bulky => "image",
            Family::Crate(name) => name,
        };
        for (name, forbidden) in ROWS {
            for family in *forbidden {
                let package = sample(family);
                let metadata = json!({
                    "packages": [{"id": name, "name": name}, {"id": package, "name": package}],
                    "workspace_members": [name], "workspace_default_members": [],
                    "resolve": {"nodes": [
                        {"id": name, "deps": [{"pkg": package, "dep_kinds": [{"kind": null}]}]},
                        {"id": package, "deps": []},
                    ]},
                });
                let doctored = Graph::parse(&metadata.to_string()).unwrap();
                let row: &[Row] = &[(name, forbidden)];
                assert_eq!(violations(&doctored, row, &[]).len(), 1, "{name} and {package}");
            }
        }
    }

    #[test]
    fn a_ring_of_packages_ends() {
        let ring = graph(&[("net", &[("a", None)]), ("search", &[]), ("a", &[("b", None)]), ("b", &[("a", None)])]);
        assert_eq!(violations(&ring, SMALL, &[]), Vec::<String>::new());
    }
}
