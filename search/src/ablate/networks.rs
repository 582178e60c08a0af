//! Methods for several networks.

use super::method::{Method, MethodKind, SearchMethod};
use caf_net::GraphError;
use caf_net::zoo::fusion::FusionConfig;
use caf_net::zoo::network::kind_of;
use serde::Serialize;
use toml::Table;

/// The networks that the methods of a study are for.
#[derive(Clone, Copy, Debug)]
pub struct Networks<'a> {
    /// Every method that trains is one for each of these, under the name of its kind; none leaves `usual`.
    pub each: &'a [FusionConfig],
    /// That of a study of one.
    pub usual: &'a FusionConfig,
}

impl Networks<'_> {
    /// For each network: the name of a method for it, and the network, where it is not the usual one.
    pub(super) fn named(&self, name: &str) -> Vec<(String, Option<FusionConfig>)> {
        if self.each.is_empty() {
            return vec![(name.to_owned(), None)];
        }
        self.each.iter().map(|network| (format!("{}-{name}", network.kind()), Some(network.clone()))).collect()
    }
}

/// The word in `task.init` of a search that stands for the frozen network of the study.
pub(super) const FROZEN: &str = "frozen";

/// What a study of several networks has where nothing else is given: each with the loss that it was published with, with equal weights,
/// and with the loss that a search finds for it, which is compared with both.
///
/// # Errors
/// [`GraphError::Kind`] for a kind that there is not.
pub fn of_kinds(kinds: &[String]) -> Result<Table, GraphError> {
    #[derive(Serialize)]
    struct Part {
        networks: Vec<FusionConfig>,
        methods: Vec<Method>,
        compare: Vec<[String; 2]>,
    }
    let defaults = |kind: &String| kind_of(kind)?.parse(serde_json::json!({}));
    let networks = kinds.iter().map(defaults).collect::<Result<Vec<FusionConfig>, GraphError>>()?;
    // The preset leaves the task network as it starts.
    let start = Table::from_iter([("init".to_owned(), FROZEN.into())]);
    let settings = Table::from_iter([("task".to_owned(), start.into())]);
    let searched = SearchMethod { preset: Some("settled".to_owned()), settings };
    let method = |name: &str, kind| Method { name: name.to_owned(), kind };
    let methods = vec![
        method("original", MethodKind::Original),
        method("uniform", MethodKind::Uniform),
        method("searched", MethodKind::Search(searched)),
    ];
    let against = |kind: &String| {
        let name = kind.clone();
        ["original", "uniform"].map(move |other| [format!("{name}-searched"), format!("{name}-{other}")])
    };
    let compare = kinds.iter().flat_map(against).collect();
    // A plain value always has a TOML form.
    Ok(Table::try_from(Part { networks, methods, compare }).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablate::Study;
    use crate::settings::load_named;

    fn study(kinds: &[&str], set: &[&str]) -> Result<Study, String> {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let preset = of_kinds(&kinds).map_err(|e| e.to_string())?;
        let set: Vec<_> =
            set.iter().map(|s| crate::settings::Override { option: "--set", assignment: (*s).to_owned() }).collect();
        load_named(preset, None, &set).map_err(|e| e.to_string())
    }

    #[test]
    fn every_method_that_trains_is_one_for_each_network() {
        let given = study(&["u2fusion", "reconet", "umfusion"], &["p1.weights=\"det.pth\""]).unwrap();
        let all = given.check().unwrap();
        let names: Vec<&str> = all.iter().map(|contender| contender.name.as_str()).collect();
        assert_eq!(names.len(), 9);
        assert_eq!(names[..3], ["u2fusion-original", "reconet-original", "umfusion-original"]);
        assert!(all.iter().all(|c| c.network.as_ref().is_some_and(|n| c.name.starts_with(n.kind()))), "{names:?}");
        let text = toml::to_string(&given).unwrap();
        assert_eq!(toml::from_str::<Study>(&text).unwrap(), given);
        // Images and groups of random losses.
        let set = [
            "p1.weights=\"det.pth\"",
            "compare=[[\"reconet-r\", \"average\"]]",
            "methods=[\"average\", { name = \"r\", draws = 2 }]",
        ];
        let all = study(&["reconet", "caf"], &set).unwrap().check().unwrap();
        let named: Vec<(&str, Option<&str>)> = all.iter().map(|c| (c.name.as_str(), c.group.as_deref())).collect();
        let random = |name: &'static str| (name, Some(&name[..name.len() - 3]));
        assert_eq!(named[0], ("average", None));
        assert_eq!(named[1..], ["reconet-r-01", "caf-r-01", "reconet-r-02", "caf-r-02"].map(random));
    }

    #[test]
    fn what_cannot_be_for_a_network_is_named() {
        assert!(study(&["u3fusion"], &[]).unwrap_err().contains("u3fusion"));
        let frozen = "p1.weights=\"det.pth\"";
        for (kinds, set, words) in [
            (&["caf"][..], &[][..], ["original", "u2fusion, reconet, umfusion"]),
            (&["reconet"], &["fusion.init=\"x.pth\""], ["fusion.init", "networks"]),
            (&["reconet", "reconet"], &[], ["methods.name", "reconet-original"]),
        ] {
            let error = study(kinds, &[set, &[frozen]].concat()).unwrap().check().unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
