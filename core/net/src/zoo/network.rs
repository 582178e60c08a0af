//! What every network of the zoo has in common: a kind, a configuration, facts, and being recognised in a weight file.
//!
//! A network is its configuration: a plain struct that serde reads and writes. It implements [`Network`] and the trait of its
//! family ([`FusionNetwork`](super::fusion::FusionNetwork) or [`TaskNetwork`](super::task::TaskNetwork)). A family lists its
//! networks once; from there settings, weight files, training and export get them as a [`NetworkConfig`].

use crate::error::GraphError;
use crate::graph::Graph;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value as Json};
use std::fmt;
use std::sync::Arc;

/// Key of the kind where a configuration is written as one table.
const KIND: &str = "kind";

/// What is known of a network and cannot be read off its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Name for people.
    pub title: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Licence of the original weights.
    pub licence: &'static str,
    /// What was compared with the original, and how close it is.
    pub parity: &'static str,
}

/// Refuses a configuration with a number below 1 or above the most: numbers come from files, and a graph must fit into memory. Each has
/// its name, its value and the most.
///
/// # Errors
/// [`GraphError::Config`] with the first that is none.
pub(crate) fn require_counts(network: &'static str, counts: &[(&str, usize, usize)]) -> Result<(), GraphError> {
    let wrong = counts.iter().find(|(_, found, most)| !(1..=*most).contains(found));
    let what = |(name, found, most)| format!("{name}: expected from 1 to {most}, found {found}");
    wrong.map_or(Ok(()), |wrong| Err(GraphError::Config { network, what: what(*wrong) }))
}

/// Sizes of images that a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Shortest side, px.
    pub least_px: usize,
    /// Both sides are multiples of this, px; at least 1.
    pub multiple_of_px: usize,
}

impl Sides {
    /// Every size.
    pub const ANY: Sides = Sides { least_px: 1, multiple_of_px: 1 };

    /// Whether an image may have such a side.
    pub fn allow(&self, side_px: usize) -> bool {
        side_px >= self.least_px && side_px.is_multiple_of(self.multiple_of_px)
    }
}

/// For people: `at least 2 px`, `multiples of 4 px from 8 px`.
impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.multiple_of_px {
            1 => write!(f, "at least {} px", self.least_px),
            n => write!(f, "multiples of {n} px from {} px", self.least_px),
        }
    }
}

/// In which order a file keeps the four extents of its convolution kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelLayout {
    /// Output, input, height, width: as graphs have them.
    #[default]
    Oihw,
    /// Height, width, input, output: TensorFlow's order.
    Hwio,
}

/// A configuration read off the tensors of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<C> {
    /// The configuration. Whether every tensor fits it is checked afterwards.
    pub config: C,
    /// How the file keeps its kernels.
    pub kernels: KernelLayout,
}

impl<C> Found<C> {
    /// A file whose kernels lie as in the graph.
    pub fn new(config: C) -> Self {
        Found { config, kernels: KernelLayout::Oihw }
    }
}

/// Where a tensor of a published file belongs in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the parameter of this name.
    Whole(String),
    /// It holds the first half of the rows of the parameter of this name.
    FirstRows(String),
    /// It holds the second half.
    LastRows(String),
    /// Nothing uses it.
    Unused,
}

/// From the name of a tensor in a published file to its place; `None` for a name that such a file does not have.
pub type PlaceOf = fn(&str) -> Option<Place>;

/// The tensors of a weight file, as a network that looks for its own sees them.
pub trait Tensors {
    /// Extents of a tensor.
    fn shape(&self, name: &str) -> Option<&[usize]>;

    /// Elements of a float tensor, row-major.
    fn values(&self, name: &str) -> Option<Vec<f64>>;
}

impl dyn Tensors + '_ {
    /// First extent of a tensor.
    pub fn outputs(&self, name: &str) -> Option<usize> {
        self.shape(name).and_then(|shape| shape.first().copied())
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// How many of `{before}{first}{after}`, `{before}{first + 1}{after}`, … there are without a gap.
    pub fn count(&self, before: &str, first: usize, after: &str) -> usize {
        (first..).take_while(|i| self.has(&format!("{before}{i}{after}"))).count()
    }
}

/// A network, implemented by its configuration.
pub trait Network: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// Its name in settings, weight files and models.
    const KIND: &'static str;
    /// What is known of it.
    const FACTS: Facts;

    /// The configuration of the network whose tensors these are, from names, shapes and constants; none for another network.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>>;

    /// Where the tensors belong, if they are a published file's of this network and such files have other names than the graph.
    fn published_names(_tensors: &dyn Tensors) -> Option<PlaceOf> {
        None
    }
}

/// The networks that serve one purpose; implemented by the purpose's trait object, such as `dyn FusionNetwork`.
pub trait Family: fmt::Debug + Send + Sync + 'static {
    /// What a network of it is called in messages.
    const WHAT: &'static str;
    /// The kind where a table of settings names none.
    const DEFAULT: Option<&'static str>;

    /// All its networks.
    fn kinds() -> &'static [Kind<Self>];

    /// The network alone, with the parameters of its weight file.
    ///
    /// # Errors
    /// When the configuration is impossible.
    fn graph(&self, kind: &'static str) -> Result<Graph, GraphError>;
}

/// A network of a family `F`. Implemented once a family, for all that implement its trait: only there the compiler knows that
/// such a network can stand behind the trait object.
pub trait Member<F: ?Sized>: Network {
    /// The configuration as the family's trait object.
    fn shared(self) -> Arc<F>;
}

/// A network of a family, before anything is configured.
pub struct Kind<F: ?Sized + 'static> {
    /// Its name in settings, weight files and models.
    pub kind: &'static str,
    /// What is known of it.
    pub facts: Facts,
    parse: fn(Json) -> serde_json::Result<NetworkConfig<F>>,
    recognise: fn(&dyn Tensors) -> Option<Found<NetworkConfig<F>>>,
    published_names: fn(&dyn Tensors) -> Option<PlaceOf>,
}

impl<F: ?Sized> Kind<F> {
    /// The line of a network in the list of its family.
    pub(super) const fn of<N: Member<F>>() -> Self {
        Kind {
            kind: N::KIND,
            facts: N::FACTS,
            parse: |json| Ok(serde_json::from_value::<N>(json)?.into()),
            recognise: |tensors| {
                N::recognise(tensors).map(|found| Found { config: found.config.into(), kernels: found.kernels })
            },
            published_names: N::published_names,
        }
    }

    /// A configuration of it; keys that it does not have are refused.
    ///
    /// # Errors
    /// [`GraphError::Config`] with the key or value and what is allowed.
    pub fn parse(&self, config: Json) -> Result<NetworkConfig<F>, GraphError> {
        (self.parse)(config).map_err(|e| GraphError::Config { network: self.kind, what: e.to_string() })
    }

    /// The configuration of the file with these tensors, if they are this network's.
    pub fn recognise(&self, tensors: &dyn Tensors) -> Option<Found<NetworkConfig<F>>> {
        (self.recognise)(tensors)
    }
}

impl<F: ?Sized> fmt::Debug for Kind<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kind").field(&self.kind).finish()
    }
}

/// A network of a family with its configuration; written as one table, `{ kind = "caf", width = 32 }`.
pub struct NetworkConfig<F: ?Sized + 'static> {
    kind: &'static str,
    settings: Json,
    network: Arc<F>,
}

impl<F: ?Sized, N: Member<F>> From<N> for NetworkConfig<F> {
    fn from(config: N) -> Self {
        // A plain struct always has a JSON form.
        let settings = serde_json::to_value(&config).unwrap_or_default();
        NetworkConfig { kind: N::KIND, settings, network: config.shared() }
    }
}

impl<F: ?Sized> NetworkConfig<F> {
    /// Its name in settings, weight files and models.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Every setting of it, without the kind.
    pub fn settings(&self) -> &Json {
        &self.settings
    }
}

impl<F: Family + ?Sized> NetworkConfig<F> {
    /// The network alone, with the parameters of its weight file.
    ///
    /// # Errors
    /// When the configuration is impossible.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        self.network.graph(self.kind)
    }
}

/// The network of a family that is called `kind`.
///
/// # Errors
/// [`GraphError::Kind`] with the kinds there are.
pub fn kind_of<F: Family + ?Sized>(kind: &str) -> Result<&'static Kind<F>, GraphError> {
    F::kinds().iter().find(|k| k.kind == kind).ok_or_else(|| GraphError::Kind {
        what: F::WHAT,
        expected: kinds_of::<F>(),
        found: kind.to_owned(),
    })
}

/// The kinds of a family for messages: `caf or u2fusion`.
pub fn kinds_of<F: Family + ?Sized>() -> String {
    F::kinds().iter().map(|k| k.kind).collect::<Vec<_>>().join(" or ")
}

/// The first network of a family that knows these tensors as its own.
pub fn recognise<F: Family + ?Sized>(tensors: &dyn Tensors) -> Option<Found<NetworkConfig<F>>> {
    F::kinds().iter().find_map(|kind| kind.recognise(tensors))
}

/// Where the tensors belong, if they are a published file's of a network of the family and such files have other names than its
/// graph.
pub fn published_names<F: Family + ?Sized>(tensors: &dyn Tensors) -> Option<PlaceOf> {
    F::kinds().iter().find_map(|kind| (kind.published_names)(tensors))
}

impl<F: ?Sized> std::ops::Deref for NetworkConfig<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.network
    }
}

impl<F: ?Sized> Clone for NetworkConfig<F> {
    fn clone(&self) -> Self {
        NetworkConfig { kind: self.kind, settings: self.settings.clone(), network: Arc::clone(&self.network) }
    }
}

impl<F: ?Sized> PartialEq for NetworkConfig<F> {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.settings) == (other.kind, &other.settings)
    }
}

impl<F: ?Sized> fmt::Debug for NetworkConfig<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// For people: `caf {"depth":3,"normalised":true,"width":32}`.
impl<F: ?Sized> fmt::Display for NetworkConfig<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.settings)
    }
}

impl<F: ?Sized> Serialize for NetworkConfig<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(KIND, self.kind)?;
        for (key, value) in self.settings.as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, F: Family + ?Sized> Deserialize<'de> for NetworkConfig<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = Map::deserialize(deserializer)?;
        let kind = match settings.remove(KIND) {
            Some(Json::String(kind)) => kind,
            Some(other) => {
                return Err(D::Error::custom(format!("`{KIND}`: expected {}, found {other}", kinds_of::<F>())));
            }
            None => F::DEFAULT
                .ok_or_else(|| D::Error::custom(format!("`{KIND}` is missing: expected {}", kinds_of::<F>())))?
                .to_owned(),
        };
        let kind = kind_of::<F>(&kind).map_err(D::Error::custom)?;
        kind.parse(Json::Object(settings)).map_err(D::Error::custom)
    }
}
