//! The graph of packages, as `cargo metadata` prints it.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Packages and what each of them links in a normal build.
#[derive(Debug)]
pub struct Graph {
    /// Name by package id.
    names: BTreeMap<String, String>,
    /// Manifest by package id.
    manifests: BTreeMap<String, PathBuf>,
    /// Ids of the normal dependencies by package id.
    links: BTreeMap<String, Vec<String>>,
    /// Ids of the workspace's members.
    members: Vec<String>,
    /// Ids of the default members.
    default_members: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_default_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    #[serde(default)]
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

impl Graph {
    /// Reads what `cargo metadata --format-version 1` printed.
    ///
    /// Features are those of the whole workspace, so that the graph holds at least what any one crate links.
    pub fn parse(metadata: &str) -> Result<Self> {
        let read: Metadata = serde_json::from_str(metadata).context("cannot read what `cargo metadata` printed")?;
        let normal = |node: Node| {
            let linked = node.deps.into_iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            (node.id, linked.map(|dep| dep.pkg).collect())
        };
        Ok(Self {
            manifests: read
                .packages
                .iter()
                .map(|package| (package.id.clone(), package.manifest_path.clone()))
                .collect(),
            names: read.packages.into_iter().map(|package| (package.id, package.name)).collect(),
            links: read.resolve.nodes.into_iter().map(normal).collect(),
            members: read.workspace_members,
            default_members: read.workspace_default_members,
        })
    }

    /// Names of the workspace's members.
    pub fn members(&self) -> Vec<&str> {
        self.members.iter().map(|id| self.name(id)).collect()
    }

    /// Names and folders of the workspace's members.
    pub fn folders(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.members.iter().filter_map(|id| Some((self.name(id), self.manifests.get(id)?.parent()?)))
    }

    /// Names of the default members.
    pub fn default_members(&self) -> Vec<&str> {
        self.default_members.iter().map(|id| self.name(id)).collect()
    }

    /// The shortest chain of links from member `from` to a package that `is_wanted`, both ends included.
    pub fn chain(&self, from: &str, is_wanted: impl Fn(&str) -> bool) -> Option<Vec<&str>> {
        let start = self.members.iter().find(|id| self.name(id) == from)?.as_str();
        let mut reached_from: BTreeMap<&str, Option<&str>> = BTreeMap::from([(start, None)]);
        let mut waiting = VecDeque::from([start]);
        while let Some(id) = waiting.pop_front() {
            if id != start && is_wanted(self.name(id)) {
                let back = std::iter::successors(Some(id), |step| reached_from.get(step).copied().flatten());
                let mut chain: Vec<&str> = back.map(|step| self.name(step)).collect();
                chain.reverse();
                return Some(chain);
            }
            for next in self.links.get(id).into_iter().flatten() {
                if !reached_from.contains_key(next.as_str()) {
                    reached_from.insert(next, Some(id));
                    waiting.push_back(next);
                }
            }
        }
        None
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}
