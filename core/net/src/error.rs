//! What can be wrong with a graph.

/// An error found while building or binding a graph. Each names the node it concerns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two parameters of one name.
    #[error("parameter `{name}` is declared twice")]
    DuplicateParameter {
        /// The name.
        name: String,
    },
    /// Two nodes or inputs of one name.
    #[error("`{name}` names two nodes or inputs")]
    DuplicateNode {
        /// The name.
        name: String,
    },
    /// Wrong number of inputs.
    #[error("{op} `{node}` takes {expected} input(s), found {found}")]
    Arity {
        /// Kind of op.
        op: &'static str,
        /// Name of the node.
        node: String,
        /// Inputs the op takes.
        expected: &'static str,
        /// Inputs it was given.
        found: usize,
    },
    /// An input or parameter of the wrong shape or element type.
    #[error("{op} `{node}`: expected {expected}, found {found}")]
    Shape {
        /// Kind of op.
        op: &'static str,
        /// Name of the node.
        node: String,
        /// What the op needs.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// A value that belongs to another graph.
    #[error("{op} `{node}` refers to a value or parameter that this graph does not have")]
    Foreign {
        /// Kind of op.
        op: &'static str,
        /// Name of the node.
        node: String,
    },
    /// An impossible configuration of a network.
    #[error("{network}: {what}")]
    Config {
        /// The network.
        network: &'static str,
        /// What is wrong and what is allowed.
        what: String,
    },
    /// A network that is not in the zoo.
    #[error("expected the kind of a {what}, {expected}, found `{found}`")]
    Kind {
        /// What it should be.
        what: &'static str,
        /// The kinds there are.
        expected: String,
        /// The kind that was asked for.
        found: String,
    },
    /// Binding names an extent that no input has.
    #[error("no input of `{graph}` has an extent named `{name}`; there are: {present}")]
    NoSuchDim {
        /// Name of the graph.
        graph: String,
        /// The name looked for.
        name: String,
        /// The names there are.
        present: String,
    },
    /// An output asked for by the name of a node that does not exist.
    #[error("`{graph}` has no node named `{name}`")]
    NoSuchNode {
        /// Name of the graph.
        graph: String,
        /// The name looked for.
        name: String,
    },
}

impl GraphError {
    /// Whether what was asked for is wrong, rather than how a graph is put together: an impossible configuration, an unknown kind.
    pub fn is_wrong_call(&self) -> bool {
        matches!(self, GraphError::Config { .. } | GraphError::Kind { .. })
    }
}
